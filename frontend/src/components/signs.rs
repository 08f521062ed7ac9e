//! Signs of a broken evaluation, below the numbers that they are about.

use leptos::prelude::*;
use shared::signs::Sign;

#[component]
pub fn Signs(#[prop(into)] signs: Signal<Vec<Sign>>) -> impl IntoView {
    // A memo, because numbers that arrive every second must not rebuild the sentences.
    let signs = Memo::new(move |_| signs.get());
    let shown = |Sign { kind, message }: Sign| {
        view! {
            <div class="notice notice-warning" role="note">
                <h2 class="notice-title">{kind.title()}</h2>
                <p class="notice-text">{message}</p>
            </div>
        }
    };
    move || signs.get().into_iter().map(shown).collect_view()
}
