//! A rotation as tokens meet it: nobody is refused, and nothing lives for ever.

use std::os::unix::fs::PermissionsExt;

use test_support::eventually;
use tokio_util::sync::CancellationToken;

use super::*;

fn kid_of(token: &str) -> String {
    header_of(token)["kid"].as_str().unwrap().to_owned()
}

fn signer(keys: &Keys) -> String {
    kid_of(&keys.ring().sign(b"{}").unwrap())
}

#[tokio::test]
async fn a_new_key_is_shown_at_once_signs_after_a_minute_and_the_old_one_verifies_until_its_last_token_is_out()
 {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("old", clock.now() - seconds(100_000));
    let keys = Keys::open(&with_folder("ES256", &folder), clock.clone()).unwrap();
    clock.advance(seconds(5));
    folder.add("new", clock.now());
    assert_eq!(kids(&keys.ring()), ["old"]);
    assert_eq!(kids(&*keys.newest_ring().await), ["new", "old"]);

    clock.advance(seconds(59));
    let last_of_old = keys.ring().sign(b"{}").unwrap();
    assert_eq!(kid_of(&last_of_old), "old");
    clock.advance(seconds(1));
    assert_eq!(signer(&keys), "new", "without another look at the folder");

    // The last token of the old key lives an hour; another minute passes before the key is retired.
    clock.advance(seconds(3600 + 59));
    assert!(accepts(&keys.ring(), &last_of_old));
    assert_eq!(kids(&keys.ring()), ["new", "old"]);
    clock.advance(seconds(1));
    assert!(!accepts(&keys.ring(), &last_of_old));
    let (message, signature) = last_of_old.rsplit_once('.').unwrap();
    assert!(!keys.ring().verifies(None, message.as_bytes(), signature), "nor without its id");
    assert_eq!(kids(&keys.ring()), ["new"]);
    assert!(!accepts(&*keys.ring_for(&last_of_old).await, &last_of_old), "nor by another look");
}

#[tokio::test]
async fn a_token_of_a_key_that_a_replica_has_not_seen_makes_it_look_but_at_most_once_a_second() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("1", clock.now());
    let keys = Keys::open(&with_folder("ES256", &folder), clock.clone()).unwrap();
    let of_another_replica = |kid: &str| {
        let key = fs::read_to_string(folder.file(kid)).unwrap();
        let key = PrivateKey::from_pem(&key, algorithm("ES256")).unwrap();
        token(&serde_json::json!({ "alg": "ES256", "kid": kid }), |message| key.sign(message).unwrap())
    };
    folder.add("2", clock.now());
    let second = of_another_replica("2");
    assert!(accepts(&*keys.ring_for(&second).await, &second));
    folder.add("3", clock.now());
    let third = of_another_replica("3");
    clock.advance(TimeDelta::milliseconds(999));
    assert!(!accepts(&*keys.ring_for(&third).await, &third));
    clock.advance(TimeDelta::milliseconds(1));
    assert!(accepts(&*keys.ring_for(&third).await, &third));
    // A clock that was set back locks nobody out.
    folder.add("4", clock.now());
    let fourth = of_another_replica("4");
    clock.advance(seconds(-3600));
    assert!(accepts(&*keys.ring_for(&fourth).await, &fourth));
}

#[tokio::test]
async fn two_replicas_that_look_at_different_moments_never_refuse_each_others_tokens() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("000", clock.now() - seconds(1_000));
    let config = KeysConfig { longest_lifetime: Duration::from_mins(10), ..with_folder("ES256", &folder) };
    let replicas = [(); 2].map(|()| Keys::open(&config, clock.clone()).unwrap());
    // Tokens live ten minutes; a key a quarter of an hour, so that old ones are retired meanwhile.
    let mut alive: Vec<(DateTime<Utc>, String)> = Vec::new();
    let mut signers = std::collections::BTreeSet::new();
    for second in (0..4_000).step_by(5) {
        if second % 900 == 450 {
            folder.add(&format!("{second:03}"), clock.now());
        }
        // The one looks just before the other has looked 20 s before.
        for (index, replica) in replicas.iter().enumerate() {
            if second % 20 == 15 * index {
                replica.reread().await.unwrap();
            }
        }
        alive.retain(|(until, _)| clock.now() < *until);
        for replica in &replicas {
            let token = replica.ring().sign(b"{}").unwrap();
            signers.insert(kid_of(&token));
            alive.push((clock.now() + seconds(600), token));
        }
        let newest_and_oldest = alive.iter().take(4).chain(alive.iter().rev().take(4));
        for (_, token) in newest_and_oldest {
            // The ring as it is: no look at the folder helps here.
            assert!(replicas.iter().all(|replica| accepts(&replica.ring(), token)), "{second}");
        }
        clock.advance(seconds(5));
    }
    assert_eq!(signers.len(), 5);
    assert!(kids(&replicas[0].ring()).len() < 5, "some were retired");
}

#[tokio::test]
async fn the_signing_key_counts_as_older_than_the_folder() {
    let (folder, clock) = (Folder::new(), clock());
    let config = KeysConfig {
        signing_key: Some(Secret::new(openssl("p256_pkcs8.pem"))),
        ..with_folder("ES256", &folder)
    };
    let keys = Keys::open(&config, clock.clone()).unwrap();
    let lone = signer(&keys);
    assert_eq!(lone, "I2Aud_zh2VzETxTn9HZiWBKeXTbLy-7zBhu6hzntD_c");
    folder.add("first", clock.now());
    let old = keys.newest_ring().await.sign(b"{}").unwrap();
    assert_eq!(kid_of(&old), lone);
    clock.advance(seconds(60));
    assert_eq!(signer(&keys), "first");
    assert!(accepts(&keys.ring(), &old));
    clock.advance(seconds(3660));
    assert!(!accepts(&keys.ring(), &old));
}

#[tokio::test]
async fn what_can_not_be_read_changes_nothing_and_is_named() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("good", clock.now());
    let keys = Keys::open(&with_folder("ES256", &folder), clock.clone()).unwrap();
    folder.add("newer", clock.now());
    keys.reread().await.unwrap();
    for kid in ["good", "newer"] {
        fs::remove_file(folder.file(kid)).unwrap();
    }
    assert!(keys.reread().await.unwrap_err().to_string().contains("no key"));
    folder.put("broken", "-----BEGIN", clock.now());
    let error = keys.reread().await.unwrap_err().to_string();
    assert!(error.contains("broken.pem"), "{error}");
    fs::remove_file(folder.file("broken")).unwrap();
    fs::remove_dir(folder.path()).unwrap();
    assert!(keys.reread().await.unwrap_err().to_string().contains("can't read the folder"));
    assert_eq!(kids(&keys.ring()), ["good", "newer"]);
    fs::create_dir(folder.path()).unwrap();
}

/// Goes red when one file that is no key keeps a replica from learning of any other.
#[tokio::test]
async fn a_file_that_is_no_key_adds_none_and_takes_none_away() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("stolen", clock.now());
    folder.add("spoilt", clock.now() + seconds(1));
    let config = with_folder("ES256", &folder);
    let keys = Keys::open(&config, clock.clone()).unwrap();
    let by_spoilt = {
        clock.advance(seconds(61));
        keys.ring().sign(b"{}").unwrap()
    };
    assert_eq!(kid_of(&by_spoilt), "spoilt");
    folder.put("junk", "-----BEGIN", clock.now());
    folder.add("new", clock.now());
    folder.put("spoilt", "nothing", clock.now());
    fs::remove_file(folder.file("stolen")).unwrap();
    assert_eq!(kids(&*keys.newest_ring().await), ["new", "spoilt"]);
    assert!(accepts(&keys.ring(), &by_spoilt), "whoever spoils a file does not mean to retire its key");
    clock.advance(seconds(60));
    assert_eq!(signer(&keys), "new");
    let error = Keys::open(&config, clock.clone()).unwrap_err().to_string();
    assert!(error.contains("junk.pem") || error.contains("spoilt.pem"), "strict at the start: {error}");

    fs::remove_file(folder.file("spoilt")).unwrap();
    clock.advance(seconds(1));
    assert_eq!(kids(&*keys.newest_ring().await), ["new"], "deleting it does");
}

/// Goes red when a file that is no key keeps a stolen key in force though its own file is gone and another key is there.
#[tokio::test]
async fn beside_a_signing_key_a_deleted_key_goes_also_if_what_is_left_is_no_key() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("stolen", clock.now() - seconds(61));
    let lone = with_key("ES256", &new_pem("ES256"));
    let config = KeysConfig { signing_keys_dir: Some(folder.path().to_owned()), ..lone };
    let keys = Keys::open(&config, clock.clone()).unwrap();
    let by_stolen = keys.ring().sign(b"{}").unwrap();
    assert_eq!(kid_of(&by_stolen), "stolen");
    fs::remove_file(folder.file("stolen")).unwrap();
    folder.put("junk", "-----BEGIN", clock.now());
    let ring = keys.newest_ring().await;
    assert!(!accepts(&ring, &by_stolen), "{:?}", kids(&ring));
    assert_eq!(kids(&ring).len(), 1);
}

/// The same without a signing key, where the key in force is one whose file was spoilt.
#[tokio::test]
async fn a_deleted_key_goes_also_if_the_files_of_all_others_are_spoilt() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("spoilt", clock.now());
    folder.add("stolen", clock.now() + seconds(1));
    let keys = Keys::open(&with_folder("ES256", &folder), clock.clone()).unwrap();
    clock.advance(seconds(61));
    let by_stolen = keys.ring().sign(b"{}").unwrap();
    fs::remove_file(folder.file("stolen")).unwrap();
    folder.put("spoilt", "nothing", clock.now());
    let ring = keys.newest_ring().await;
    assert_eq!(kids(&ring), ["spoilt"]);
    assert!(!accepts(&ring, &by_stolen));
}

/// Goes red when a file is complained of at each reading.
#[test]
fn a_file_that_is_no_key_is_named_once() {
    let (folder, now) = (Folder::new(), clock().now());
    folder.add("good", now);
    let read = || folder::read_what_is_usable(folder.path(), algorithm("ES256")).unwrap();
    let mut own = OwnKeys::read(algorithm("ES256"), HOUR, None, Some(folder.path())).unwrap();
    folder.put("junk", "-----BEGIN", now);
    let named = own.take_usable(folder.path(), read()).unwrap();
    assert!(named.len() == 1 && named[0].contains("junk.pem"), "{named:?}");
    assert_eq!(own.take_usable(folder.path(), read()).unwrap(), [""; 0]);
    folder.put("junk", "nothing", now + seconds(1));
    assert_eq!(own.take_usable(folder.path(), read()).unwrap().len(), 1, "it changed");
    fs::remove_file(folder.file("junk")).unwrap();
    assert_eq!(own.take_usable(folder.path(), read()).unwrap(), [""; 0]);
    folder.put("junk", "nothing", now + seconds(1));
    assert_eq!(own.take_usable(folder.path(), read()).unwrap().len(), 1, "it came back");
}

#[tokio::test]
async fn a_key_whose_file_is_deleted_verifies_no_more() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("stolen", clock.now() - seconds(1_000));
    folder.add("new", clock.now() - seconds(100));
    let keys = Keys::open(&with_folder("ES256", &folder), clock.clone()).unwrap();
    assert_eq!(kids(&keys.ring()), ["new", "stolen"]);
    fs::remove_file(folder.file("stolen")).unwrap();
    assert_eq!(kids(&*keys.newest_ring().await), ["new"]);
}

#[test]
fn other_files_are_not_looked_at() {
    let folder = Folder::new();
    folder.add("key", clock().now());
    for name in ["README", "key.pem.new", "key.pub", ".pem", "pem"] {
        fs::write(folder.path().join(name), "nothing").unwrap();
    }
    assert_eq!(kids(&open(&with_folder("ES256", &folder)).ring()), ["key"]);
}

#[test]
fn a_private_key_that_everybody_may_read_is_noticed() {
    let folder = Folder::new();
    folder.add("key", clock().now());
    for (mode, noticed) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
        fs::set_permissions(folder.file("key"), fs::Permissions::from_mode(mode)).unwrap();
        let read = crate::tokens::keys::folder::read(folder.path(), algorithm("ES256")).unwrap();
        assert_eq!(read[0].world_readable, noticed, "{mode:o}");
    }
}

#[tokio::test]
async fn the_folder_is_followed_until_the_program_stops() {
    let (folder, clock) = (Folder::new(), clock());
    folder.add("1", clock.now());
    let keys = Keys::open(&with_folder("ES256", &folder), clock.clone()).unwrap();
    let stop = CancellationToken::new();
    let (following, stopped) = (keys.clone(), stop.clone());
    let follower =
        tokio::spawn(async move { following.follow_every(Duration::from_millis(5), &stopped).await });
    folder.put("broken", "nothing", clock.now());
    folder.add("2", clock.now());
    eventually(Duration::from_secs(20), "the new key", async || {
        (kids(&keys.ring()) == ["1", "2"]).then_some(())
    })
    .await;
    stop.cancel();
    follower.await.unwrap();
    keys.follow(stop).await.unwrap();
}
