//! Slows down guessing of tokens: wrong ones are answered one after another, each later than the one before.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// Wait of the first wrong token; each further one waits twice as long.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(4);
/// After this time without a wrong token, the next one waits like the first.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Further tokens are refused at once while this many wait.
const MOST_WAITING: usize = 16;
/// Wrong tokens that are recognized when they come again.
const KNOWN: usize = 64;

#[derive(Debug)]
pub struct WrongTokens {
    hasher: RandomState,
    inner: Mutex<Inner>,
    waiting: Semaphore,
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct Inner {
    recent: u32,
    last: Option<Instant>,
    /// Hashes of earlier wrong tokens.
    known: VecDeque<u64>,
}

/// Too many wrong tokens wait already.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Default for WrongTokens {
    fn default() -> Self {
        let (waiting, turn) = (Semaphore::new(MOST_WAITING), Semaphore::new(1));
        WrongTokens { hasher: RandomState::new(), inner: Mutex::default(), waiting, turn }
    }
}

impl WrongTokens {
    /// Waits as long as a wrong token has to wait.
    pub async fn wait(&self, token: &str) -> Result<(), TooMany> {
        let _place = self.waiting.try_acquire().map_err(|_| TooMany)?;
        let _turn = self.turn.acquire().await.expect("nobody closes it");
        sleep(self.cost(token)).await;
        Ok(())
    }

    /// Whether a wrong token was tried before. A page that was open when the token changed sends the old one
    /// again and again, which is no guessing.
    pub fn is_known(&self, token: &str) -> bool {
        let hash = self.hasher.hash_one(token);
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).known.contains(&hash)
    }

    fn cost(&self, token: &str) -> Duration {
        let hash = self.hasher.hash_one(token);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.last.is_none_or(|last| last.elapsed() > FORGOTTEN_AFTER) {
            inner.recent = 0;
        }
        inner.last = Some(Instant::now());
        inner.recent += 1;
        if !inner.known.contains(&hash) {
            inner.known.push_back(hash);
            if inner.known.len() > KNOWN {
                inner.known.pop_front();
            }
        }
        FIRST.saturating_mul(1 << (inner.recent - 1).min(10)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    impl WrongTokens {
        async fn wrong_number(&self, number: u32) -> Result<(), TooMany> {
            self.wait(&format!("wrong {number}")).await
        }
    }

    #[test]
    fn each_wrong_token_costs_more_than_the_one_before_up_to_a_limit() {
        let tokens = WrongTokens::default();
        let costs: Vec<u128> = (0..7).map(|number| tokens.cost(&format!("wrong {number}")).as_millis()).collect();
        assert_eq!(costs, [200, 400, 800, 1600, 3200, 4000, 4000]);
        assert!(tokens.is_known("wrong 3") && !tokens.is_known("wrong 9"));
    }

    #[tokio::test]
    async fn those_who_try_many_at_a_time_are_sent_away() {
        let tokens = WrongTokens::default();
        let mut tries: Vec<_> = (0..20).map(|number| Box::pin(tokens.wrong_number(number))).collect();
        let mut refused = 0;
        for attempt in &mut tries {
            refused += usize::from(futures::poll!(attempt) == Poll::Ready(Err(TooMany)));
        }
        assert_eq!(refused, 20 - MOST_WAITING);
        drop(tries);
        assert!(futures::poll!(Box::pin(tokens.wrong_number(20))).is_pending(), "there is room again");
    }
}
