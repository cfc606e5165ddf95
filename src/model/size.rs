//! Byte sizes as the Compose Specification writes them: `64m`, `2gb`.
//!
//! In: text. Out: bytes. Pure.

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{input}` is not a size: write for example `1048576`, `64m` or `2gb`")]
pub struct SizeError {
    /// The text as given.
    pub input: String,
}

/// Reads a size in bytes (Compose Specification, "Specifying byte values"); units are powers of 1024.
///
/// # Errors
/// When `input` is no number with an optional unit `b`, `k`, `kb`, `m`, `mb`, `g`, `gb`, or too large.
pub fn parse_size(input: &str) -> Result<u64, SizeError> {
    let error = || SizeError { input: input.to_owned() };
    let text = input.to_ascii_lowercase();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let amount: u64 = text[..digits].parse().map_err(|_| error())?;
    let scale: u64 = match &text[digits..] {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return Err(error()),
    };
    amount.checked_mul(scale).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use crate::model::size::parse_size;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [("64m", 64 << 20), ("2gb", 2 << 30), ("10", 10), ("1KB", 1024)] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "m", "1.5g", "-1", "1tb", "99999999999999999999"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
