//! The epochs of a run as a TensorBoard event file of scalars.
//!
//! A file is a sequence of records (length, checksum, bytes, checksum). Each is an `Event` message of
//! tensorboard/compat/proto/event.proto, of which three fields and one kind of value are used.

use shared::config::Inputs;
use shared::record::Metrics;

/// `begun`: start of the run in seconds since 1970; the elapsed time of each epoch is added.
pub fn event_file(metrics: &Metrics, begun: f64) -> Vec<u8> {
    let mut file = Vec::new();
    push_record(&mut file, &event(begun, 0, &bytes_field(3, b"brain.Event:2")));
    for epoch in &metrics.epochs {
        let scalars = [
            ("learning_rate", Some(epoch.learning_rate)),
            ("loss/train", epoch.train_loss),
            ("loss/test_robust", epoch.test_loss),
            ("accuracy/train_clean", epoch.train_clean_accuracy),
            ("accuracy/train_robust", epoch.train_robust_accuracy),
            ("accuracy/test_clean", epoch.test_clean_accuracy),
            ("accuracy/test_robust", epoch.test_robust_accuracy),
            ("accuracy/holdout_robust", epoch.holdout_robust_accuracy),
            ("cas/adversarial", metrics.cas(epoch.epoch, Inputs::Adversarial)),
            ("cas/clean", metrics.cas(epoch.epoch, Inputs::Clean)),
        ];
        let values: Vec<u8> = scalars.into_iter().filter_map(|(tag, value)| Some(bytes_field(1, &scalar(tag, value?)))).flatten().collect();
        push_record(&mut file, &event(begun + epoch.elapsed_secs, epoch.epoch, &bytes_field(5, &values)));
    }
    file
}

/// An `Event`: its time, its step and one further field.
fn event(wall_time: f64, step: u32, what: &[u8]) -> Vec<u8> {
    let mut message = vec![1 << 3 | FIXED64];
    message.extend(wall_time.to_le_bytes());
    message.push(2 << 3 | VARINT);
    push_varint(&mut message, step.into());
    message.extend(what);
    message
}

/// A `Summary.Value` with a `simple_value`.
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut message = bytes_field(1, tag.as_bytes());
    message.push(2 << 3 | FIXED32);
    message.extend((value as f32).to_le_bytes());
    message
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const FIXED32: u8 = 5;

fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | LENGTH];
    push_varint(&mut field, bytes.len() as u64);
    field.extend(bytes);
    field
}

fn push_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn push_record(file: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    file.extend(length);
    file.extend(masked_crc(&length).to_le_bytes());
    file.extend(data);
    file.extend(masked_crc(data).to_le_bytes());
}

/// CRC-32C, masked as in TensorFlow's record format.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first bytes of a file that TensorFlow's writer made at time 0.
    #[test]
    fn the_first_record_is_the_version() {
        let file = event_file(&Metrics::default(), 0.0);
        assert_eq!(file[..8], 26u64.to_le_bytes());
        assert_eq!(&file[file.len() - 4 - 15..file.len() - 4], b"\x1a\x0dbrain.Event:2");
    }
}
