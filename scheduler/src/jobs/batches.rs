//! Work in small batches, each committed by itself.

use tokio_util::sync::CancellationToken;

/// Does one batch after the other until one finds nothing or `stop` is cancelled; gives how many rows all of them found.
pub(super) async fn in_batches<E, Fut: Future<Output = Result<u64, E>>>(
    stop: &CancellationToken,
    mut batch: impl FnMut() -> Fut,
) -> Result<u64, E> {
    let mut found = 0;
    while !stop.is_cancelled() {
        let rows = batch().await?;
        found += rows;
        if rows == 0 {
            break;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn batches_go_on_until_nothing_is_found_an_error_comes_or_the_stop() {
        let stop = CancellationToken::new();
        let run = async |rows: &[Result<u64, &'static str>], stops_at: usize| {
            let (rows, done) = (RefCell::new(rows.iter().copied()), RefCell::new(0));
            let found = in_batches(&stop, || {
                *done.borrow_mut() += 1;
                if *done.borrow() == stops_at {
                    stop.cancel();
                }
                std::future::ready(rows.borrow_mut().next().unwrap())
            })
            .await;
            (found, done.take())
        };
        assert_eq!(run(&[Ok(3), Ok(2), Ok(0)], 0).await, (Ok(5), 3));
        assert_eq!(run(&[Ok(3), Err("gone")], 0).await, (Err("gone"), 2));
        assert_eq!(run(&[Ok(3), Ok(3), Ok(3)], 2).await, (Ok(6), 2));
        assert_eq!(run(&[], 0).await, (Ok(0), 0), "stopped before");
    }
}
