//! Tokens of browsers: what a page holds in place of a key. `tap_<team>_<JWT>`.
//!
//! The team is in front, as of a key, so that a proxy can send it to the home of its team. The rest is a
//! JSON Web Token (RFC 7519) by HMAC-SHA-256, which only the service has to check. It names its key, and is
//! of use only as long as that is.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::model::Scope;
use crate::ids::{KeyId, TagId, TeamId};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// The longest that a token works.
pub const TTL_MAX: Duration = Duration::from_hours(1);
/// The shortest that one can be asked for.
pub const TTL_MIN: Duration = Duration::from_mins(1);
/// Tags that a token can be limited to.
pub const TAGS_MAX: usize = 100;
/// No token is longer: what is, is not looked at.
const TOKEN_LEN_MAX: usize = 4096;
/// In which all replicas have learned of a new secret.
const SECRET_KNOWN_AFTER: TimeDelta = TimeDelta::minutes(1);
/// How long a secret is kept in whose place another signs: as long as what it signed last.
pub const SIGNERS_KEPT: TimeDelta = TimeDelta::minutes(62);
const ISSUER: &str = "tap-analytics";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserToken {
    pub team: TeamId,
    pub key: KeyId,
    pub expires_at: DateTime<Utc>,
    pub scopes: Vec<Scope>,
    /// What it is limited to; `None`: all tags.
    pub tags: Option<Vec<TagId>>,
}

/// The claims, by their registered names where they have one.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    /// The key.
    sub: String,
    team: i32,
    iat: i64,
    exp: i64,
    /// RFC 8693: scopes with spaces between.
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<i32>>,
}

/// A secret that tokens are signed with.
#[derive(Clone)]
pub struct SigningSecret {
    /// Names it in the head of a token.
    pub id: String,
    pub secret: [u8; 32],
    pub created_at: DateTime<Utc>,
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningSecret({})", self.id)
    }
}

/// Signs tokens and checks them.
#[derive(Debug, Default)]
pub struct Signers(BTreeMap<String, Signer>);

#[derive(Debug)]
struct Signer {
    secret: SigningSecret,
    /// Cancelled when the secret is dropped, and with it all that it has signed.
    dropped: CancellationToken,
}

impl Signers {
    /// With these secrets.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = SigningSecret>) -> Self {
        Self::default().replaced(secrets)
    }

    /// With these secrets and no others: what was opened by a token of one that is gone ends.
    #[must_use]
    pub fn replaced(&self, secrets: impl IntoIterator<Item = SigningSecret>) -> Self {
        let signers = secrets.into_iter().map(|secret| {
            let known = self.0.get(&secret.id);
            let dropped = known.map(|signer| signer.dropped.clone()).unwrap_or_default();
            (secret.id.clone(), Signer { secret, dropped })
        });
        let signers = Self(signers.collect());
        for (_, gone) in self.0.iter().filter(|(id, _)| !signers.0.contains_key(*id)) {
            gone.dropped.cancel();
        }
        signers
    }

    /// Signs a token. With the newest secret that all replicas know.
    ///
    /// # Errors
    /// When there is no secret.
    pub fn sign(&self, token: &BrowserToken, now: DateTime<Utc>) -> anyhow::Result<String> {
        let known = |secret: &&SigningSecret| secret.created_at <= now - SECRET_KNOWN_AFTER;
        let secrets = || self.0.values().map(|signer| &signer.secret);
        let newest = secrets().filter(known).max_by_key(|secret| secret.created_at);
        let signer = newest.or_else(|| secrets().min_by_key(|secret| secret.created_at));
        let signer = signer.ok_or_else(|| {
            anyhow::anyhow!("no secret to sign tokens with: tap-analytics tokens rotate makes one")
        })?;
        let header = Header { kid: Some(signer.id.clone()), ..Header::new(Algorithm::HS256) };
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: token.key.to_string(),
            team: token.team.0,
            iat: now.timestamp(),
            exp: token.expires_at.timestamp(),
            scope: scopes.join(" "),
            tags: token.tags.as_ref().map(|tags| tags.iter().map(|tag| tag.0).collect()),
        };
        hmac::install();
        let jwt =
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&signer.secret))?;
        Ok(format!("tap_{}_{jwt}", token.team))
    }

    /// What a token says that was signed here, and what is cancelled when it is good no more. Whether it has
    /// expired is for the caller to say.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<(BrowserToken, CancellationToken)> {
        if text.len() > TOKEN_LEN_MAX {
            return None;
        }
        let (team, jwt) = text.strip_prefix("tap_")?.split_once('_')?;
        let header = jsonwebtoken::decode_header(jwt).ok()?;
        let signer = self.0.get(&header.kid?)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // By our own clock.
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        hmac::install();
        let key = DecodingKey::from_secret(&signer.secret.secret);
        let claims = jsonwebtoken::decode::<Claims>(jwt, &key, &validation).ok()?.claims;
        // The one before the token is what a proxy went by.
        if team != claims.team.to_string() {
            return None;
        }
        let token = BrowserToken {
            team: TeamId(claims.team),
            key: KeyId(claims.sub.parse().ok()?),
            expires_at: DateTime::from_timestamp(claims.exp, 0)?,
            scopes: claims.scope.split(' ').filter_map(Scope::parse).collect(),
            tags: claims.tags.map(|tags| tags.into_iter().map(TagId).collect()),
        };
        Some((token, signer.dropped.clone()))
    }
}

/// HMAC-SHA-256 for the JWT crate, from the crates that the PostgreSQL client has brought already: those it
/// would bring itself also sign in ways of which we use none.
mod hmac {
    use hmac::{Hmac, KeyInit, Mac};
    use jsonwebtoken::{
        Algorithm, DecodingKey, EncodingKey,
        crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
        errors::{Error, ErrorKind},
        signature::{self, Signer, Verifier},
    };
    use sha2::Sha256;

    struct Sha(Hmac<Sha256>);

    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key: &EncodingKey| {
            Ok(Box::new(Sha::new(*algorithm, key.as_bytes())?))
        },
        verifier_factory: |algorithm, key: &DecodingKey| {
            Ok(Box::new(Sha::new(*algorithm, key.try_get_as_bytes()?)?))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };

    /// Once for the process.
    pub(super) fn install() {
        static DONE: std::sync::Once = std::sync::Once::new();
        DONE.call_once(|| {
            // Only ever done here.
            let _done = PROVIDER.install_default();
        });
    }

    impl Sha {
        fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, Error> {
            if algorithm != Algorithm::HS256 {
                return Err(ErrorKind::InvalidAlgorithm.into());
            }
            let mac = Hmac::new_from_slice(secret).map_err(|_| ErrorKind::InvalidKeyFormat)?;
            Ok(Self(mac))
        }
    }

    impl Signer<Vec<u8>> for Sha {
        fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
            let mut mac = self.0.clone();
            mac.update(message);
            Ok(mac.finalize().into_bytes().to_vec())
        }
    }

    impl Verifier<Vec<u8>> for Sha {
        fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
            let mut mac = self.0.clone();
            mac.update(message);
            // In constant time.
            mac.verify_slice(signature).map_err(|_| signature::Error::new())
        }
    }

    impl JwtSigner for Sha {
        fn algorithm(&self) -> Algorithm {
            Algorithm::HS256
        }
    }

    impl JwtVerifier for Sha {
        fn algorithm(&self) -> Algorithm {
            Algorithm::HS256
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn secret(id: &str, byte: u8, created: i64) -> SigningSecret {
        SigningSecret { id: id.to_owned(), secret: [byte; 32], created_at: at(created) }
    }

    fn read(signers: &Signers, text: &str) -> Option<BrowserToken> {
        signers.read(text).map(|(token, _)| token)
    }

    fn token() -> BrowserToken {
        BrowserToken {
            team: TeamId(7),
            key: KeyId(Uuid::from_u128(9)),
            expires_at: at(600),
            scopes: vec![Scope::TapsRead],
            tags: Some(vec![TagId(3), TagId(5)]),
        }
    }

    #[test]
    fn a_token_is_read_back() {
        let signers = Signers::new([secret("a", 1, 0)]);
        for token in [token(), BrowserToken { tags: None, ..token() }] {
            let text = signers.sign(&token, at(100)).unwrap();
            assert!(text.starts_with("tap_7_ey"), "{text}");
            assert_eq!(read(&signers, &text), Some(token));
        }
    }

    #[test]
    fn it_is_a_jwt_as_others_make_them() {
        // RFC 7515, appendix A.1: the same key and the same bytes make the same signature.
        let key = BASE64_URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        hmac::install();
        let signed = jsonwebtoken::crypto::sign(
            b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            &EncodingKey::from_secret(&key),
            Algorithm::HS256,
        );
        assert_eq!(signed.unwrap(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn the_newest_secret_signs_once_all_know_it_and_older_ones_are_still_good() {
        let old = Signers::new([secret("a", 1, 0)]);
        let both = Signers::new([secret("a", 1, 0), secret("b", 2, 1000)]);
        let before = both.sign(&token(), at(1000 + 59)).unwrap();
        assert_eq!(read(&old, &before), Some(token()));
        let after = both.sign(&token(), at(1000 + 60)).unwrap();
        assert_eq!((read(&old, &after), read(&both, &after)), (None, Some(token())));
        assert_eq!(read(&both, &before), Some(token()));
        assert_eq!(read(&Signers::new([secret("b", 2, 1000)]), &before), None);
        assert!(Signers::default().sign(&token(), at(0)).is_err());
    }

    #[test]
    fn what_was_not_signed_here_is_nothing() {
        let signers = Signers::new([secret("a", 1, 0)]);
        let text = signers.sign(&token(), at(0)).unwrap();
        assert_eq!(read(&signers, &text.replace("tap_7_", "tap_8_")), None);
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let claims = text.split('.').nth(1).unwrap();
        for header in [
            r#"{"typ":"JWT","alg":"none","kid":"a"}"#,
            r#"{"typ":"JWT","alg":"HS512","kid":"a"}"#,
            r#"{"typ":"JWT","alg":"RS256","kid":"a"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
        ] {
            for signature in ["", text.split('.').nth(2).unwrap()] {
                let forged = format!("tap_7_{}.{claims}.{signature}", encode(header));
                assert_eq!(read(&signers, &forged), None, "{header}");
            }
        }
        let (head, _) = text.rsplit_once('.').unwrap();
        let same_id = Signers::new([secret("a", 2, 0)]).sign(&token(), at(0)).unwrap();
        assert_eq!(read(&signers, &same_id), None);
        assert_eq!(read(&signers, &format!("{head}.")), None);
    }

    proptest! {
        #[test]
        fn no_text_is_taken_for_one(text in ".{0,200}", at_byte in 0_usize..400, to in "[A-Za-z0-9_.-]") {
            let signers = Signers::new([secret("a", 1, 0)]);
            prop_assert_eq!(read(&signers, &text), None);
            let sound = signers.sign(&token(), at(0)).unwrap();
            let place = at_byte % sound.len();
            let mut changed = sound.clone();
            changed.replace_range(place..=place, &to);
            // The last character of the signature has two bits that say nothing.
            prop_assume!(changed != sound && place != sound.len() - 1);
            prop_assert_eq!(read(&signers, &changed), None);
        }
    }
}
