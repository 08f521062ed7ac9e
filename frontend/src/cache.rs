//! Cache for responses that never change, such as the matrix of a checkpoint. Each address is requested once.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;

use crate::api;
use crate::load::{Answers, Load};

/// A shared response. Equal only to itself, so that comparing two never compares 40,000 numbers.
pub struct Cached<T>(Arc<T>);

/// Responses by address.
pub struct Cache<T: Send + Sync + 'static> {
    known: RwSignal<HashMap<String, Load<Cached<T>>>>,
    /// The responses embedded in a share. If present, the server is never asked.
    answers: StoredValue<Option<Answers>>,
}

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

impl<T: Send + Sync + 'static> Clone for Cache<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Cache<T> {}

impl<T: DeserializeOwned + Send + Sync + 'static> Cache<T> {
    pub fn new() -> Self {
        Cache { known: RwSignal::new(HashMap::new()), answers: StoredValue::new(use_context()) }
    }

    /// Requests an address, unless that was done before.
    pub fn ask(self, address: &str) {
        if self.known.with_untracked(|known| !known.contains_key(address)) {
            let address = address.to_owned();
            spawn_local(async move { self.load(address).await });
        }
    }

    /// Requests again everything that failed.
    pub fn retry(self) {
        let failed = |load: &Load<Cached<T>>| matches!(load, Load::Failed(_));
        let addresses: Vec<String> =
            self.known.with_untracked(|known| known.iter().filter(|(_, load)| failed(load)).map(|(address, _)| address.clone()).collect());
        self.known.update(|known| known.retain(|_, load| !failed(load)));
        for address in addresses {
            self.ask(&address);
        }
    }

    /// The state of an address; `None` if it was never requested.
    pub fn get(self, address: &str) -> Option<Load<Cached<T>>> {
        self.known.with(|known| known.get(address).cloned())
    }

    /// The response, if it has arrived.
    pub fn ready(self, address: &str) -> Option<Cached<T>> {
        match self.get(address) {
            Some(Load::Ready(kept)) => Some(kept),
            _ => None,
        }
    }

    /// All responses that have arrived.
    pub fn all(self) -> Vec<Cached<T>> {
        let ready = |load: &Load<Cached<T>>| if let Load::Ready(kept) = load { Some(kept.clone()) } else { None };
        self.known.with(|known| known.values().filter_map(ready).collect())
    }

    /// Requests the `wanted` addresses one after the other. `wanted` is called again before each request, so
    /// an address that has become more urgent comes first.
    pub fn prefetch(self, wanted: impl Fn() -> Vec<String> + Clone + Send + Sync + 'static) {
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
                    && let Some(address) = self.first_unknown(wanted)
                {
                    self.load(address).await;
                }
                let _ = busy.try_update_value(|busy| *busy = false);
            });
        });
    }

    fn first_unknown(self, addresses: Vec<String>) -> Option<String> {
        self.known.try_with_untracked(|known| addresses.into_iter().find(|address| !known.contains_key(address))).flatten()
    }

    async fn load(self, address: String) {
        if self.known.try_update(|known| known.insert(address.clone(), Load::Loading)).is_none() {
            return;
        }
        let given = self.answers.try_with_value(|answers| answers.as_ref().map(|answers| answers.get::<T>(&address))).flatten();
        let answer = match given {
            Some(answer) => answer,
            None => api::get::<T>(&address).await,
        };
        let load = match answer {
            Ok(value) => Load::Ready(Cached(Arc::new(value))),
            Err(problem) => Load::Failed(problem),
        };
        let _ = self.known.try_update(|known| known.insert(address, load));
    }
}

/// The address of an attribution in the API. `id`: an id, or a text that may be none.
pub fn attribution_address(id: &impl ToString) -> String {
    format!("api/attributions/{}", crate::urls::encoded(&id.to_string()))
}
