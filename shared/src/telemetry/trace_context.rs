//! W3C Trace Context: the `traceparent` header, version 00.

use std::fmt;

use crate::entropy::Entropy;

/// A trace and a span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceContext {
    /// Begins a new trace.
    pub fn new(entropy: &Entropy) -> Self {
        // All zeros means "invalid"; the low bit keeps a one in 2^128 chance from mattering.
        Self {
            trace_id: u128::from_be_bytes(entropy.bytes()) | 1,
            span_id: u64::from_be_bytes(entropy.bytes()) | 1,
            sampled: true,
        }
    }

    /// A new span in the caller's trace, if `header` is a valid `traceparent`; else a new trace.
    pub fn continue_from(header: Option<&str>, entropy: &Entropy) -> Self {
        let fresh = Self::new(entropy);
        match header.and_then(Self::parse) {
            Some(caller) => Self { span_id: fresh.span_id, ..caller },
            None => fresh,
        }
    }

    /// Reads a `traceparent`. A version above 00 is read as far as 00 goes, as the standard asks.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lengths_fit = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        let lower_hex = [version, trace, span, flags]
            .iter()
            .all(|part| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
        if !lengths_fit || !lower_hex || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span_id = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The trace's id: 32 lower-case hex digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// As a `traceparent` header.
impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_header_reads_back_as_it_was_written() {
        assert_eq!(TraceContext::parse(VALID).unwrap().to_string(), VALID);
        assert!(
            TraceContext::parse(&VALID.replacen("00", "cc", 1)).is_some(),
            "a later version is read as 00"
        );
    }

    #[test]
    fn a_callers_trace_goes_on_with_a_span_of_its_own() {
        let context = TraceContext::continue_from(Some(VALID), &Entropy::seeded(1));
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(context.to_string(), VALID);
    }

    #[test]
    fn anything_else_begins_a_new_trace() {
        for header in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(header), None, "{header}");
        }
    }
}
