// SPDX-License-Identifier: GPL-2.0

//! There is one token for what is in flight.

use async_domain::Token;

#[cfg(wicked)]
fn copy(token: &Token) -> Token {
    // error[E0308]: mismatched types
    token.clone()
}

#[cfg(not(wicked))]
fn copy(token: &Token) -> async_domain::Cookie {
    token.cookie()
}
