//! Sorting, compiled once for whatever is sorted: a sort is a few kilobytes, and every browser downloads each.

use std::cmp::Ordering;

/// The items in the order of `compare`; equal ones stay as they are.
pub fn sorted<T>(items: Vec<T>, mut compare: impl FnMut(&T, &T) -> Ordering) -> Vec<T> {
    let places = sorted_places(items.len(), &mut |a, b| compare(&items[a], &items[b]));
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    places.into_iter().filter_map(|place| items[place].take()).collect()
}

/// Every item once, in their own order.
pub fn distinct<T: Ord>(items: Vec<T>) -> Vec<T> {
    let mut items = sorted(items, T::cmp);
    items.dedup();
    items
}

#[inline(never)]
fn sorted_places(count: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_by(|a, b| compare(*a, *b));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_items_keep_their_order() {
        let words = vec!["pear", "fig", "plum", "date", "kiwi", "nut"];
        assert_eq!(sorted(words, |a, b| a.len().cmp(&b.len())), ["fig", "nut", "pear", "plum", "date", "kiwi"]);
        assert!(sorted(Vec::<u32>::new(), u32::cmp).is_empty());
    }

    #[test]
    fn distinct_items_are_sorted_and_there_once() {
        assert_eq!(distinct(vec![3, 1, 3, 2, 1]), [1, 2, 3]);
    }
}
