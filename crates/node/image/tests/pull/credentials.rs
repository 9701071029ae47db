//! Credentials of a pull: how they are sent, rotated and refused.

use super::*;

struct Fixed(Result<Option<Credential>, CredentialError>);

impl Credentials for Fixed {
    fn for_registry(
        &self,
        _request: CredentialRequest,
    ) -> futures_util::future::BoxFuture<'static, Result<Grant, CredentialError>> {
        let anonymous_or =
            |found: Option<Credential>| found.map_or_else(Grant::anonymous, |c| Grant::lasting("a test", c));
        Box::pin(std::future::ready(self.0.clone().map(anonymous_or)))
    }
}

async fn prepare_as(reference: &str, credential: Result<Option<Credential>, CredentialError>) -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let images = Images::open(dir.path(), config(), Arc::new(Fixed(credential))).await.expect("opened");
    images.prepare(request(reference, "owner")).await.map(|_| ())
}

fn user(user: &str, password: &str) -> Result<Option<Credential>, CredentialError> {
    Ok(Some(Credential::Basic { user: user.into(), password: password.into() }))
}

#[tokio::test]
async fn credentials_are_sent_as_the_registry_asks_for_them() {
    let registry = Registry::start().await;
    let reference = registry.serve("v1", &hello());
    registry.guard(Access::Basic("me", "secret"));
    prepare_as(&reference, user("me", "secret")).await.expect("basic");
    registry.guard(Access::Token(Some(("me", "secret"))));
    prepare_as(&reference, user("me", "secret")).await.expect("a token for the password");
    prepare_as(&reference, Ok(Some(Credential::Bearer("the-token".into())))).await.expect("the token itself");
    registry.guard(Access::Token(None));
    prepare_as(&reference, Ok(None)).await.expect("a token for anyone");
}

/// Answers from memory until it is told that this will not do.
struct Rotated {
    kept: Grant,
    renewals: Arc<AtomicUsize>,
}

impl Credentials for Rotated {
    fn for_registry(
        &self,
        request: CredentialRequest,
    ) -> futures_util::future::BoxFuture<'static, Result<Grant, CredentialError>> {
        let grant = match request.renew {
            false => self.kept.clone(),
            true => {
                self.renewals.fetch_add(1, Ordering::SeqCst);
                password("new")
            }
        };
        Box::pin(std::future::ready(Ok(grant)))
    }
}

fn password(password: &str) -> Grant {
    Grant::lasting("a test", Credential::Basic { user: "me".into(), password: password.into() })
}

#[tokio::test]
async fn a_credential_that_is_refused_or_over_is_asked_for_again_once() {
    let registry = Registry::start().await;
    let reference = registry.serve("v1", &hello());
    let over = Grant { expires_at: Some(jiff::Timestamp::UNIX_EPOCH), ..password("old") };
    for access in [Access::Basic("me", "new"), Access::Token(Some(("me", "new")))] {
        registry.guard(access);
        for (kept, expected) in [(password("old"), 1), (over.clone(), 1), (Grant::anonymous(), 1), (password("new"), 0)]
        {
            let (dir, renewals) = (tempfile::tempdir().expect("a temporary directory"), Arc::default());
            let credentials = Rotated { kept, renewals: Arc::clone(&renewals) };
            let images = Images::open(dir.path(), config(), Arc::new(credentials)).await.expect("opened");
            images.prepare(request(&reference, "owner")).await.expect("let in in the end");
            assert_eq!(renewals.load(Ordering::SeqCst), expected);
        }
    }
    registry.guard(Access::Basic("me", "another"));
    let (dir, renewals) = (tempfile::tempdir().expect("a temporary directory"), Arc::<AtomicUsize>::default());
    let credentials = Rotated { kept: password("new"), renewals: renewals.clone() };
    let images = Images::open(dir.path(), config(), Arc::new(credentials)).await.expect("opened");
    let error = images.prepare(request(&reference, "owner")).await.expect_err("refused");
    assert_eq!(error.code(), "ImageAccessDenied");
    assert!(error.report().contains("credentials from a test"), "{}", error.report());
    // Once by the question for the tag, and once by that for the manifest.
    assert!(renewals.load(Ordering::SeqCst) <= 2, "a password that is wrong is not tried over and over");
}

#[tokio::test]
async fn wrong_and_missing_credentials_have_their_own_words() {
    let registry = Registry::start().await;
    let reference = registry.serve("v1", &hello());
    for access in [Access::Basic("me", "secret"), Access::Token(Some(("me", "secret")))] {
        registry.guard(access);
        let wrong = prepare_as(&reference, user("me", "guess")).await.expect_err("a wrong password");
        assert_eq!(wrong.code(), "ImageAccessDenied");
        assert!(wrong.report().contains("password") && !wrong.report().contains("guess"), "{}", wrong.report());
        let none = prepare_as(&reference, Ok(None)).await.expect_err("no password");
        assert_eq!(none.code(), "ImageAccessDenied");
        assert!(none.report().contains("without credentials"), "{}", none.report());
        let stale = prepare_as(&reference, Ok(Some(Credential::Bearer("old".into())))).await.expect_err("an old token");
        assert_eq!(stale.code(), "ImageAccessDenied");
    }
    let broken = Err(CredentialError { message: "the helper is broken".into() });
    let error = prepare_as(&reference, broken).await.expect_err("no credentials");
    assert!(error.report().contains("the helper is broken"), "{}", error.report());
}
