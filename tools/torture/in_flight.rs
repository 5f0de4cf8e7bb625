// SPDX-License-Identifier: GPL-2.0

//! A token that is in flight.

use crate::model::Place;
use async_domain::{
    Cookie,
    Token, //
};

/// A token and its place in the model, which is given back before the token is.
pub(crate) struct InFlight {
    _place: Place,
    token: Token,
}

impl InFlight {
    pub(crate) fn new(place: Place, token: Token) -> Self {
        Self {
            _place: place,
            token,
        }
    }

    pub(crate) fn finish(self) {
        drop(self);
    }

    pub(crate) fn cookie(&self) -> Cookie {
        self.token.cookie()
    }
}
