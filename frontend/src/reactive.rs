//! Signals, memos and effects whose machinery is compiled once, not once for each place that makes one.
//!
//! leptos compiles all of it for every closure and every type of value, dozens of functions each; boxed, they share it (docs/performance.md). Closures are
//! boxed as traits of one method: a `dyn Fn` has three, and whoever downloads the application downloads all three of every closure.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

use leptos::leptos_dom::helpers::{TimeoutHandle, set_timeout_with_handle};

use crate::prelude::*;

/// A value of any type.
#[derive(Debug)]
pub struct Held(Box<dyn Any + Send + Sync>);

/// What whoever holds a value says of its type.
const KNOWN: &str = "its holder knows its type";

/// Access to a value that is held.
#[derive(Debug)]
pub struct Guard<T, G>(G, PhantomData<fn() -> T>);

impl<T: 'static, G: Deref<Target = Held>> Deref for Guard<T, G> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.0.downcast_ref().expect(KNOWN)
    }
}

impl<T: 'static, G: DerefMut<Target = Held>> DerefMut for Guard<T, G> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.0.downcast_mut().expect(KNOWN)
    }
}

impl<T: 'static, G: UntrackableGuard<Target = Held>> UntrackableGuard for Guard<T, G> {
    fn untrack(&mut self) {
        self.0.untrack();
    }
}

/// A value that is set and followed: leptos's signal, of which there is only one type.
#[derive(Debug)]
pub struct RwSignal<T>(leptos::prelude::RwSignal<Held>, PhantomData<fn() -> T>);

impl<T: Send + Sync + 'static> RwSignal<T> {
    pub fn new(value: T) -> Self {
        RwSignal(leptos::prelude::RwSignal::new(Held(Box::new(value))), PhantomData)
    }
}

impl<T: Default + Send + Sync + 'static> Default for RwSignal<T> {
    fn default() -> Self {
        RwSignal::new(T::default())
    }
}

impl<T> Notify for RwSignal<T> {
    fn notify(&self) {
        self.0.notify();
    }
}

impl<T> IsDisposed for RwSignal<T> {
    fn is_disposed(&self) -> bool {
        self.0.is_disposed()
    }
}

impl<T: 'static> Write for RwSignal<T> {
    type Value = T;

    fn try_write(&self) -> Option<impl UntrackableGuard<Target = T>> {
        self.0.try_write().map(|held| Guard(held, PhantomData))
    }

    fn try_write_untracked(&self) -> Option<impl DerefMut<Target = T>> {
        self.0.try_write_untracked().map(|held| Guard(held, PhantomData))
    }
}

/// Keeps what is computed until a signal that was read for it has changed; tells those that read it only of another value. leptos's memo, of which
/// there is only one type.
#[derive(Debug)]
pub struct Memo<T>(leptos::prelude::Memo<Held>, PhantomData<fn() -> T>);

impl<T: PartialEq + Send + Sync + 'static> Memo<T> {
    /// Of a value that depends on the former one.
    pub fn new(compute: impl Fn(Option<&T>) -> T + Send + Sync + 'static) -> Self {
        let compute: Box<dyn Compute<T>> = Box::new(compute);
        Memo(held_memo(Box::new(compute)), PhantomData)
    }
}

trait Compute<T>: Send + Sync {
    fn compute(&self, former: Option<&T>) -> T;
}

impl<T, F: Fn(Option<&T>) -> T + Send + Sync> Compute<T> for F {
    fn compute(&self, former: Option<&T>) -> T {
        self(former)
    }
}

/// Computes a value of a type that only it knows.
trait Hold: Send + Sync {
    /// The value, and whether it is another.
    fn hold(&self, former: Option<Held>) -> (Held, bool);
}

impl<T: PartialEq + Send + Sync + 'static> Hold for Box<dyn Compute<T>> {
    fn hold(&self, former: Option<Held>) -> (Held, bool) {
        let known = former.as_ref().map(|held| held.0.downcast_ref().expect(KNOWN));
        let value = self.compute(known);
        let same = known == Some(&value);
        match former {
            Some(former) if same => (former, false),
            _ => (Held(Box::new(value)), true),
        }
    }
}

fn held_memo(compute: Box<dyn Hold>) -> leptos::prelude::Memo<Held> {
    leptos::prelude::Memo::new_owning(move |former| compute.hold(former))
}

macro_rules! followed {
    ($($signal:ident)*) => {
        $(impl<T> Clone for $signal<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $signal<T> {}

        impl<T> PartialEq for $signal<T> {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl<T> DefinedAt for $signal<T> {
            fn defined_at(&self) -> Option<&'static Location<'static>> {
                self.0.defined_at()
            }
        }

        impl<T> Track for $signal<T> {
            fn track(&self) {
                self.0.track();
            }
        }

        impl<T: 'static> ReadUntracked for $signal<T> {
            type Value = Guard<T, <leptos::prelude::$signal<Held> as ReadUntracked>::Value>;

            fn try_read_untracked(&self) -> Option<Self::Value> {
                self.0.try_read_untracked().map(|held| Guard(held, PhantomData))
            }
        }

        /// Each look into it copies the value: what is large is passed on as a memo.
        impl<T: Clone + Send + Sync + 'static> From<$signal<T>> for Signal<T> {
            fn from(signal: $signal<T>) -> Self {
                derived(move || signal.get())
            }
        })*
    };
}

followed! { RwSignal Memo }

/// A memo of a value that does not depend on the former one.
pub fn memo<T: PartialEq + Send + Sync + 'static>(compute: impl Fn() -> T + Send + Sync + 'static) -> Memo<T> {
    Memo::new(move |_| compute())
}

/// A value that stays, where one that changes is asked for.
pub fn fixed<T: Clone + PartialEq + Send + Sync + 'static>(value: T) -> Memo<T> {
    memo(move || value.clone())
}

trait Run {
    fn run(&mut self);
}

impl<F: FnMut()> Run for F {
    fn run(&mut self) {
        self();
    }
}

/// Does `run` once the page stands, and again after a signal that it reads has changed.
pub fn effect(run: impl FnMut() + 'static) {
    boxed_effect(Box::new(run));
}

#[inline(never)]
fn boxed_effect(mut run: Box<dyn Run>) {
    Effect::new(move || run.run());
}

/// A value once it has stayed the same for a while; the first at once.
pub fn rested<T: Clone + PartialEq + Send + Sync + 'static>(value: Memo<T>, pause: Duration) -> Signal<T> {
    let rested = RwSignal::new(value.get_untracked());
    let pending = StoredValue::new(None::<TimeoutHandle>);
    let clear = move || {
        if let Some(Some(timer)) = pending.try_get_value() {
            timer.clear();
        }
    };
    effect(move || {
        let new = value.get();
        clear();
        if rested.get_untracked() != new {
            let set = move || drop(rested.try_set(new.clone()));
            pending.set_value(set_timeout_with_handle(set, pause).ok());
        }
    });
    on_cleanup(clear);
    rested.into()
}

/// What `compute` gives each time it is read.
pub fn derived<T: Send + Sync + 'static>(compute: impl Fn() -> T + Send + Sync + 'static) -> Signal<T> {
    boxed_signal(Box::new(move |_: Option<&T>| compute()))
}

#[inline(never)]
fn boxed_signal<T: Send + Sync + 'static>(compute: Box<dyn Compute<T>>) -> Signal<T> {
    Signal::derive(move || compute.compute(None))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_memo_tells_those_that_read_it_only_of_another_value() {
        let owner = Owner::new();
        owner.set();
        let number = RwSignal::new(4);
        let half = memo(move || number.get() / 2);
        static COMPUTED: AtomicU32 = AtomicU32::new(0);
        let text = memo(move || {
            COMPUTED.fetch_add(1, Ordering::Relaxed);
            half.with(|half| format!("half is {half}"))
        });
        assert_eq!(text.get(), "half is 2");
        number.set(5);
        assert_eq!((text.get().as_str(), COMPUTED.load(Ordering::Relaxed)), ("half is 2", 1), "2 as before");
        number.update(|number| *number += 1);
        assert_eq!((text.get().as_str(), COMPUTED.load(Ordering::Relaxed)), ("half is 3", 2));
    }

    #[test]
    fn a_memo_may_depend_on_its_former_value() {
        let owner = Owner::new();
        owner.set();
        let number = RwSignal::new(1);
        let largest = Memo::new(move |former: Option<&i32>| former.copied().unwrap_or_default().max(number.get()));
        let seen = [3, 2, 7].map(|next| {
            number.set(next);
            largest.get()
        });
        assert_eq!(seen, [3, 3, 7]);
    }

    #[test]
    fn a_signal_made_of_another_follows_it() {
        let owner = Owner::new();
        owner.set();
        let tags = RwSignal::new(vec!["a"]);
        let of_signal = Signal::from(tags);
        let of_memo = Signal::from(memo(move || tags.with(Vec::len)));
        tags.write().push("b");
        assert_eq!((of_signal.get(), of_memo.get()), (vec!["a", "b"], 2));
        assert_eq!(tags.try_set(Vec::new()), None, "it took the value");
        assert_eq!(of_memo.get(), 0);
        owner.cleanup();
        assert!(tags.is_disposed());
        assert_eq!(tags.try_set(vec!["c"]), Some(vec!["c"]), "nobody holds it any more");
    }
}
