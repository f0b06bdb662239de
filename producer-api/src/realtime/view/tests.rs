//! The rule, held against a model.
