// SPDX-License-Identifier: GPL-2.0

//! What is in flight is done once.

use async_domain::Token;

fn answer(token: Token) {
    token.finish();
    #[cfg(wicked)]
    // error[E0382]: use of moved value: `token`
    token.finish();
}
