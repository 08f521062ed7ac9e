//! Adversarial training and class-wise feature attribution on libtorch.
