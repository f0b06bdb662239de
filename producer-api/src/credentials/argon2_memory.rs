//! The memory that Argon2 works in, lent from one hash to the next.
//!
//! Freed after each hash it would stay with the allocator, which keeps some for each thread that ever hashed: hundreds of
//! MiB, where two hashes at once need 38.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time;

use super::stored_hash::MEMORY_KIB;

/// Memory for hashes. Clones lend the same. As many parts are kept as were ever lent at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Argon2Memory(Arc<Mutex<Vec<Vec<Block>>>>);

/// How much a hash of ours needs: a block is a KiB. What needs more, which only imported hashes do, is not kept.
const BLOCKS_KEPT: usize = MEMORY_KIB as usize;

impl Argon2Memory {
    /// Hashes a password in PHC form.
    pub(super) fn hash(
        &self,
        (algorithm, version, params): (Algorithm, Version, Params),
        password: &[u8],
        salt: &[u8],
    ) -> Result<PasswordHash, argon2::password_hash::Error> {
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        let text = ParamsString::try_from(&params)?;
        self.derive((algorithm, version, params), password, salt, &mut output)?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: text,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(&output)?),
        })
    }

    /// Whether a password belongs to a hash; one that is not whole belongs to none.
    pub(super) fn verify(&self, password: &[u8], hash: &PasswordHash) -> bool {
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return false };
        let algorithm = Algorithm::try_from(hash.algorithm.as_str());
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from);
        let (Ok(algorithm), Ok(version), Ok(params)) = (algorithm, version, Params::try_from(hash)) else {
            return false;
        };
        let mut output = vec![0; expected.len()];
        self.derive((algorithm, version, params), password, salt, &mut output).is_ok()
            && constant_time::verify_slices_are_equal(&output, expected.as_ref()).is_ok()
    }

    fn derive(
        &self,
        (algorithm, version, params): (Algorithm, Version, Params),
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), argon2::Error> {
        let count = params.block_count();
        let argon2 = Argon2::new(algorithm, version, params);
        if count > BLOCKS_KEPT {
            let mut blocks = vec![Block::new(); count];
            return argon2.hash_password_into_with_memory(password, salt, output, &mut blocks[..]);
        }
        let mut blocks = self.lock().pop().unwrap_or_else(|| vec![Block::new(); BLOCKS_KEPT]);
        let derived = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks[..count]);
        self.lock().push(blocks);
        derived
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        // Whatever panics meanwhile leaves whole parts behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    #[test]
    fn what_the_library_hashes_fits_here_and_the_other_way_round_also_in_used_memory() {
        let memory = Argon2Memory::default();
        for (algorithm, kib, lanes) in
            [(Algorithm::Argon2id, 64, 1), (Algorithm::Argon2i, 256, 4), (Algorithm::Argon2d, 19_500, 2)]
        {
            for password in ["correct horse", "battery staple"] {
                let params = Params::new(kib, 1, lanes, None).unwrap();
                let hash = memory
                    .hash((algorithm, Version::V0x13, params), password.as_bytes(), b"salt of 16 bytes")
                    .unwrap();
                assert!(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
                assert!(memory.verify(password.as_bytes(), &hash));
                assert!(!memory.verify(b"correct horsf", &hash));
            }
        }
        assert_eq!(memory.lock().len(), 1, "one after the other in the same memory");
    }
}
