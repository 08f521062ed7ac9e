//! Any folder of images with a folder for each class.

use super::{Classes, Facts, FileLayout};

pub(super) const FACTS: Facts = Facts {
    title: "A folder of images",
    short_title: "Images",
    description: "Any images: one folder for each class inside train and inside val, valid, validation or test, as torchvision's \
                  ImageFolder reads them; JPEG, PNG, BMP, WebP, TIFF, PPM or PGM.",
    layout: FileLayout::ImageFolder,
    shape: [3, 32, 32],
    classes: Classes::InFiles,
    superclasses: &[],
    train_samples: None,
    test_samples: None,
    // The values for ImageNet of PyTorch's own models.
    mean: &[0.485, 0.456, 0.406],
    std: &[0.229, 0.224, 0.225],
    flips: true,
    license: "your own",
    how_to_get: Some("Put the images on the server as train/CLASS/* and val/CLASS/* (or valid, validation, test) and give the folder."),
    archive_folders: &[],
    published: None,
};
