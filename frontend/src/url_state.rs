//! State that lives in the page's address, so that links, reloads and the Back button keep it.

use std::str::FromStr;
use std::time::Duration;

use leptos::leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle};
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_params_map, use_query_map};
use leptos_router::params::ParamsMap;

use crate::browser::use_open;

/// Delay of address changes. Browsers limit their rate (Safari: 100 in 30 s) and refuse the rest.
const WRITE_AFTER: Duration = Duration::from_millis(300);

/// A value that can be read and set. It is also in the address, unless made by [`UrlState::local`].
pub struct UrlState<T: Send + Sync + 'static> {
    value: Signal<T>,
    set: Callback<(T,)>,
}

impl<T: Send + Sync + 'static> Clone for UrlState<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for UrlState<T> {}

impl<T: Clone + Send + Sync + 'static> UrlState<T> {
    /// A value that is not in the address, for pages whose own address is a link to a view.
    pub fn local(initial: T) -> Self {
        let value = RwSignal::new(initial);
        UrlState { value: value.into(), set: Callback::new(move |(new,)| value.set(new)) }
    }

    pub fn get(self) -> T {
        self.value.get()
    }

    pub fn get_untracked(self) -> T {
        self.value.get_untracked()
    }

    pub fn set(self, value: T) {
        self.set.run((value,));
    }

    /// A part of the value, which is read and set through it.
    pub fn part<U>(self, get: fn(&T) -> U, put: fn(&mut T, U)) -> UrlState<U>
    where
        U: Clone + PartialEq + Send + Sync + 'static,
    {
        let value = Memo::new(move |_| self.value.with(get));
        UrlState { value: value.into(), set: Callback::new(move |(new,)| self.update(|value| put(value, new))) }
    }

    pub fn update(self, change: impl FnOnce(&mut T)) {
        let mut value = self.get_untracked();
        change(&mut value);
        self.set(value);
    }
}

/// The identifier in the page's path; `None` if the text there is none.
pub fn use_id<T>(parameter: &'static str) -> Memo<Option<T>>
where
    T: FromStr + PartialEq + Send + Sync + 'static,
{
    let parameters = use_params_map();
    Memo::new(move |_| parameters.with(|parameters| parameters.get_str(parameter)?.parse().ok()))
}

/// Keeps a value equal to what `read` takes from the query. A change of the value replaces the current
/// address by that of `write`, after a short delay.
pub fn url_state<T>(
    read: impl Fn(&ParamsMap) -> T + Send + Sync + 'static,
    write: impl Fn(&T) -> String + Send + Sync + 'static,
) -> UrlState<T>
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    let query = use_query_map();
    let navigate = use_open();
    let value = RwSignal::new(query.with_untracked(&read));
    let pending: StoredValue<Option<TimeoutHandle>> = StoredValue::new(None);

    Effect::new(move || {
        let new = query.with(&read);
        // Ignore a change of the address if the value has changed since; its new address is about to be
        // written.
        if pending.with_value(Option::is_none) && value.get_untracked() != new {
            value.set(new);
        }
    });
    on_cleanup(move || {
        if let Some(Some(timer)) = pending.try_get_value() {
            timer.clear();
        }
    });
    let write = StoredValue::new(write);
    let navigate = StoredValue::new_local(navigate);
    let set = Callback::new(move |(new,): (T,)| {
        if value.get_untracked() == new {
            return;
        }
        value.set(new);
        if let Some(timer) = pending.get_value() {
            timer.clear();
        }
        let later = move || {
            pending.set_value(None);
            let address = value.with_untracked(|value| write.with_value(|write| write(value)));
            let options = NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
            navigate.with_value(|navigate| navigate(&address, options));
        };
        pending.set_value(set_timeout_with_handle(later, WRITE_AFTER).ok());
    });
    UrlState { value: value.into(), set }
}
