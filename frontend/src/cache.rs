//! Cache for responses that never change, such as the matrix of a checkpoint. Each is requested once.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;
use shared::api::Attribution;
use shared::id::AttributionId;
use shared::problem::Problem;

use crate::api;
use crate::load::{Answers, Load};

/// A shared response. Equal only to itself, so that comparing two never compares 40,000 numbers.
pub struct Cached<T>(Arc<T>);

/// Responses by address, or attributions by name.
pub struct Cache<K: Send + Sync + 'static, T: Send + Sync + 'static> {
    known: RwSignal<HashMap<K, Load<Cached<T>>>>,
    /// The responses embedded in a share. If present, the server is never asked.
    answers: StoredValue<Option<Answers>>,
    ask_server: fn(K) -> Answer<T>,
    take_given: fn(&Answers, &K) -> Result<T, Problem>,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<T> Clone for Cached<T> {
    fn clone(&self) -> Self {
        Cached(Arc::clone(&self.0))
    }
}

impl<T> PartialEq for Cached<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Deref for Cached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<K: Send + Sync + 'static, T: Send + Sync + 'static> Clone for Cache<K, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Send + Sync + 'static, T: Send + Sync + 'static> Copy for Cache<K, T> {}

impl<T: DeserializeOwned + Send + Sync + 'static> Cache<String, T> {
    /// A cache of what the server answers at addresses.
    pub fn new() -> Self {
        Cache::from(|address| Box::pin(async move { api::get(&address).await }), |answers, address| answers.get(address))
    }
}

impl Cache<AttributionId, Attribution> {
    /// A cache of attributions by their names.
    pub fn of_attributions() -> Self {
        Cache::from(|id| Box::pin(async move { api::get_attribution(&id).await }), Answers::attribution)
    }
}

impl<K: Clone + Eq + Hash + Send + Sync + 'static, T: Send + Sync + 'static> Cache<K, T> {
    fn from(ask_server: fn(K) -> Answer<T>, take_given: fn(&Answers, &K) -> Result<T, Problem>) -> Self {
        Cache { known: RwSignal::new(HashMap::new()), answers: StoredValue::new(use_context()), ask_server, take_given }
    }

    /// Requests a response, unless that was done before.
    pub fn ask(self, key: &K) {
        if self.known.with_untracked(|known| !known.contains_key(key)) {
            let key = key.clone();
            spawn_local(async move { self.load(key).await });
        }
    }

    /// Requests again everything that failed.
    pub fn retry(self) {
        let failed = |load: &Load<Cached<T>>| matches!(load, Load::Failed(_));
        let keys: Vec<K> =
            self.known.with_untracked(|known| known.iter().filter(|(_, load)| failed(load)).map(|(key, _)| key.clone()).collect());
        self.known.update(|known| known.retain(|_, load| !failed(load)));
        for key in keys {
            self.ask(&key);
        }
    }

    /// The state of a response; `None` if it was never requested.
    pub fn get(self, key: &K) -> Option<Load<Cached<T>>> {
        self.known.with(|known| known.get(key).cloned())
    }

    /// The response, if it has arrived.
    pub fn ready(self, key: &K) -> Option<Cached<T>> {
        match self.get(key) {
            Some(Load::Ready(kept)) => Some(kept),
            _ => None,
        }
    }

    /// All responses that have arrived.
    pub fn all(self) -> Vec<Cached<T>> {
        let ready = |load: &Load<Cached<T>>| if let Load::Ready(kept) = load { Some(kept.clone()) } else { None };
        self.known.with(|known| known.values().filter_map(ready).collect())
    }

    /// Requests the `wanted` responses one after the other. `wanted` is called again before each request, so
    /// a response that has become more urgent comes first.
    pub fn prefetch(self, wanted: impl Fn() -> Vec<K> + Clone + Send + Sync + 'static) {
        if self.answers.with_value(Option::is_some) {
            return;
        }
        let busy = StoredValue::new(false);
        let wanted = Memo::new(move |_| wanted());
        Effect::new(move || {
            wanted.track();
            if busy.get_value() {
                return;
            }
            busy.set_value(true);
            spawn_local(async move {
                // The page may be gone when a response arrives.
                while let Some(wanted) = wanted.try_get_untracked()
                    && let Some(key) = self.first_unknown(wanted)
                {
                    self.load(key).await;
                }
                let _ = busy.try_update_value(|busy| *busy = false);
            });
        });
    }

    fn first_unknown(self, keys: Vec<K>) -> Option<K> {
        self.known.try_with_untracked(|known| keys.into_iter().find(|key| !known.contains_key(key))).flatten()
    }

    async fn load(self, key: K) {
        if self.known.try_update(|known| known.insert(key.clone(), Load::Loading)).is_none() {
            return;
        }
        let given = self.answers.try_with_value(|answers| answers.as_ref().map(|answers| (self.take_given)(answers, &key))).flatten();
        let answer = match given {
            Some(answer) => answer,
            None => (self.ask_server)(key.clone()).await,
        };
        let load = match answer {
            Ok(value) => Load::Ready(Cached(Arc::new(value))),
            Err(problem) => Load::Failed(problem),
        };
        let _ = self.known.try_update(|known| known.insert(key, load));
    }
}
