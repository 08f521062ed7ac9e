//! Loading, selecting and augmenting images, label noise, and the generated data.

use engine::data::{Data, augment, batches, load};
use engine::random::{self, Purpose, Seed};
use shared::config::DataConfig;
use shared::dataset::Dataset;
use tch::{Device, Kind, Tensor};

use crate::values;

fn digits(edit: impl FnOnce(&mut DataConfig)) -> Result<Data, engine::Error> {
    config(Dataset::Digits, edit)
}

fn config(dataset: Dataset, edit: impl FnOnce(&mut DataConfig)) -> Result<Data, engine::Error> {
    let mut config = DataConfig::of(dataset);
    edit(&mut config);
    load(&config, 5)
}

fn count(labels: &Tensor, class: i64) -> i64 {
    labels.eq(class).sum(Kind::Int64).int64_value(&[])
}

#[test]
fn the_digits_are_all_there_with_every_third_for_testing() {
    let data = digits(|_| {}).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (1198, 599));
    assert_eq!(data.train.images().size(), [1198, 1, 8, 8]);
    assert_eq!((data.train.images().min().double_value(&[]), data.train.images().max().double_value(&[])), (0.0, 1.0));
    // The first and third image of the file. The third is the first test image.
    assert_eq!(values(&data.train.images().get(0).view([-1]).narrow(0, 0, 8)), [0.0, 0.0, 0.3125, 0.8125, 0.5625, 0.0625, 0.0, 0.0]);
    assert_eq!(values(&data.train.labels.narrow(0, 0, 4)), [0.0, 1.0, 3.0, 4.0]);
    assert_eq!(values(&data.test.labels.narrow(0, 0, 3)), [2.0, 5.0, 8.0]);
}

#[test]
fn a_subset_takes_equal_parts_of_each_class_and_its_size_is_exact() {
    for samples in [10, 100, 303, 1190, 1198] {
        let data = digits(|config| config.train_samples = Some(samples)).unwrap();
        assert_eq!(data.train.len(), i64::from(samples));
        let counts: Vec<i64> = (0..10).map(|class| count(&data.train.labels, class)).collect();
        let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
        // Classes have equal parts until the smallest class, with 111 images, is used up.
        assert!(samples > 1110 || spread <= 1, "{samples}: {counts:?}");
    }
    let test = digits(|config| config.test_samples = Some(200)).unwrap().test;
    assert!((0..10).all(|class| count(&test.labels, class) == 20));
}

#[test]
fn held_out_images_are_not_trained_on_and_keep_their_labels() {
    let all = digits(|config| config.train_samples = Some(300)).unwrap();
    let data = digits(|config| {
        config.train_samples = Some(300);
        config.holdout_samples = 50;
        config.label_noise = 0.2;
    })
    .unwrap();
    let holdout = data.holdout.unwrap();
    assert_eq!((data.train.len(), holdout.len(), data.noisy_labels), (250, 50, 50));
    assert!((0..10).all(|class| count(&holdout.labels, class) == 5));
    let together = Tensor::cat(&[&data.train.images(), &holdout.images()], 0);
    assert_eq!(together.sum(Kind::Double).double_value(&[]), all.train.images().sum(Kind::Double).double_value(&[]));
}

#[test]
fn label_noise_replaces_exactly_its_fraction_by_other_classes() {
    let clean = digits(|_| {}).unwrap().train.labels;
    for fraction in [0.0, 0.1, 0.25, 0.99] {
        let data = digits(|config| config.label_noise = fraction).unwrap();
        let changed = data.train.labels.ne_tensor(&clean).sum(Kind::Int64).int64_value(&[]);
        assert_eq!(changed, (1198.0 * fraction).round() as i64);
        assert_eq!(i64::from(data.noisy_labels), changed);
        assert!(data.train.labels.min().int64_value(&[]) >= 0 && data.train.labels.max().int64_value(&[]) <= 9);
    }
}

#[test]
fn batches_are_equal_parts_without_a_remainder_of_one() {
    for (count, batch_size, expected) in
        [(300, 64, vec![60; 5]), (10, 128, vec![10]), (7, 3, vec![2, 2, 3]), (11, 2, vec![2, 2, 2, 2, 3]), (3, 2, vec![3]), (1, 2, vec![1])]
    {
        let batches = batches(count, batch_size);
        let sizes: Vec<i64> = batches.iter().map(|batch| batch.end - batch.start).collect();
        assert_eq!(sizes, expected, "{count} in batches of {batch_size}");
        assert!(batches.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}

#[test]
fn augmentation_shifts_by_at_most_an_eighth_and_mirrors_photographs_only() {
    for (dataset, mirrors) in [(Dataset::Digits, false), (Dataset::Cifar10, true)] {
        // Each pixel holds its own position, so that shifts can be read from the result.
        let image = Tensor::arange(64, (Kind::Float, Device::Cpu)).view([1, 1, 8, 8]) / 64.0;
        let images = image.expand([200, 1, 8, 8], false);
        let changed = random::draw(Seed::once(1, Purpose::Step), || augment::crop_and_flip(&images, dataset));
        assert_eq!(changed.size(), images.size());
        let padded = image.reflection_pad2d([1, 1, 1, 1]);
        let windows: Vec<Tensor> = (0..9).map(|shift| padded.narrow(2, shift / 3, 8).narrow(3, shift % 3, 8).get(0)).collect();
        let mut mirrored = 0;
        let mut seen = [false; 9];
        for index in 0..200 {
            let found = changed.get(index);
            let flipped = found.flip([2]);
            match windows.iter().position(|window| *window == found) {
                Some(shift) => seen[shift] = true,
                None if windows.contains(&flipped) => mirrored += 1,
                None => panic!("image {index} is no window of the padded image"),
            }
        }
        assert!(seen.iter().all(|seen| *seen), "every shift occurs");
        assert_eq!(mirrored > 0, mirrors, "{dataset:?}");
        assert!(mirrored < 140, "about half are mirrored: {mirrored}");
    }
}

#[test]
fn generated_images_follow_the_seed_and_share_no_noise_between_training_and_testing() {
    let make = |seed| {
        let config = DataConfig { train_samples: Some(40), test_samples: Some(40), ..shared_config() };
        load(&config, seed).unwrap()
    };
    let (first, again, other) = (make(1), make(1), make(2));
    assert_eq!(first.train.images(), again.train.images());
    assert_ne!(first.train.images(), other.train.images());
    assert_ne!(first.train.images(), first.test.images());
    assert_eq!(first.train.images().size(), [40, 3, 32, 32]);
    assert!((0..10).all(|class| count(&first.test.labels, class) == 4));
}

fn shared_config() -> DataConfig {
    let preset = shared::preset::all().into_iter().find(|preset| preset.id == "synthetic").unwrap();
    preset.config.data().unwrap().clone()
}

/// Creates an image folder with classes `a` and `b`: three training pictures and one validation picture each.
/// The last training picture is cut off.
pub(crate) fn picture_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let digits = datasets::open(Dataset::Digits, folder.path(), 0).unwrap();
    for (part, class, names) in [("train", "a", "012"), ("train", "b", "345"), ("val", "a", "6"), ("val", "b", "7")] {
        let target = folder.path().join(part).join(class);
        std::fs::create_dir_all(&target).unwrap();
        for index in names.chars() {
            let png = digits.png(&digits.train.pixels(&[index as usize - '0' as usize]).unwrap());
            let end = if index == '5' { png.len() / 2 } else { png.len() };
            std::fs::write(target.join(format!("{index}.png")), &png[..end]).unwrap();
        }
    }
    folder
}

/// A folder of `classes` classes with two pictures each for training and one for testing.
pub(crate) fn folder_of_classes(classes: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let digits = datasets::open(Dataset::Digits, folder.path(), 0).unwrap();
    for class in 0..classes {
        for (part, index) in [("train", 0), ("train", 1), ("val", 2)] {
            let target = folder.path().join(part).join(format!("{class:02}"));
            std::fs::create_dir_all(&target).unwrap();
            let png = digits.png(&digits.train.pixels(&[3 * class + index]).unwrap());
            std::fs::write(target.join(format!("{index}.png")), png).unwrap();
        }
    }
    folder
}

/// All images of a folder, 8 pixels wide, otherwise as `config` has it.
pub(crate) fn all_pictures(folder: &tempfile::TempDir, config: DataConfig) -> DataConfig {
    DataConfig {
        dataset: Dataset::ImageFolder,
        path: Some(folder.path().to_str().unwrap().to_owned()),
        image_size: Some(8),
        train_samples: None,
        test_samples: None,
        ..config
    }
}

fn pictures(folder: &tempfile::TempDir, edit: impl FnOnce(&mut DataConfig)) -> Result<Data, engine::Error> {
    config(Dataset::ImageFolder, |config| {
        *config = all_pictures(folder, config.clone());
        edit(config);
    })
}

#[test]
fn a_folder_says_what_it_holds_and_only_chosen_images_are_decoded() {
    let folder = picture_folder();
    let data = pictures(&folder, |config| config.train_samples = Some(5)).unwrap();
    assert_eq!((data.info.class_names.as_slice(), data.info.classes), (["a".to_owned(), "b".to_owned()].as_slice(), Some(2)));
    assert_eq!((data.info.shape, data.info.train_samples, data.info.test_samples), ([3, 8, 8], Some(6), Some(2)));
    assert_eq!(values(&data.train.labels), [0.0, 0.0, 0.0, 1.0, 1.0]);
    let error = pictures(&folder, |_| {}).unwrap_err().to_string();
    assert!(error.contains("train/b/5.png") && error.contains("cut off"), "{error}");
}

#[test]
fn bytes_become_the_floats_that_division_gives_however_they_are_selected() {
    let folder = picture_folder();
    let data = pictures(&folder, |config| config.train_samples = Some(4)).unwrap();
    let levels = digits(|_| {}).unwrap().train.images().narrow(0, 0, 1) * 16.0;
    // The digits' maximum is 16, that of pictures 255. Values must be equal bit by bit, because any device
    // converts them the same way.
    let expected: Vec<f64> = values(&levels).iter().map(|level| f64::from((*level * 255.0 / 16.0).floor() as f32 / 255.0)).collect();
    let all = data.train.images();
    let (narrowed, _) = data.train.narrow(0, 1);
    let (selected, _) = data.train.select(&Tensor::from_slice(&[0i64]));
    for images in [all.narrow(0, 0, 1), narrowed, selected] {
        assert_eq!(values(&images.select(1, 1)), expected);
    }
}

#[test]
fn what_a_folder_cannot_give_is_named() {
    let folder = picture_folder();
    for (samples, expected) in [(1, "no training image is of class `b`"), (7, "7 training images were requested")] {
        let error = pictures(&folder, |config| config.train_samples = Some(samples)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = pictures(&folder, |config| config.path = None).unwrap_err().to_string();
    assert!(error.contains("set `data.path`"), "{error}");
    let error = config(Dataset::Svhn, |config| config.path = Some(folder.path().to_str().unwrap().to_owned())).unwrap_err().to_string();
    assert!(error.contains("holds no train_32x32.mat"), "{error}");
}
