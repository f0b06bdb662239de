//! SimpleJWT settings that name Python code. Their defaults are what Warren does; nothing else can be had by a name.

use shared::config::{Reader, Setting};

const CLASSES: &str = "rest_framework_simplejwt";

/// A setting, what stands behind `rest_framework_simplejwt.` in its default, and what to use instead.
const CLASS_PATHS: &[(Setting, &str, &str)] = &[
    (
        path("USER_AUTHENTICATION_RULE"),
        "authentication.default_user_authentication_rule",
        "CHECK_USER_IS_ACTIVE decides whether inactive users are let in",
    ),
    (path("TOKEN_USER_CLASS"), "models.TokenUser", "protected routes know the user of the database"),
    (
        path("TOKEN_OBTAIN_SERIALIZER"),
        "serializers.TokenObtainPairSerializer",
        "further claims are not written",
    ),
    (
        path("TOKEN_REFRESH_SERIALIZER"),
        "serializers.TokenRefreshSerializer",
        "further claims are copied as they are",
    ),
    (
        path("TOKEN_VERIFY_SERIALIZER"),
        "serializers.TokenVerifySerializer",
        "BLACKLIST_AFTER_ROTATION makes it look",
    ),
    (
        path("TOKEN_BLACKLIST_SERIALIZER"),
        "serializers.TokenBlacklistSerializer",
        "/api/logout/ ends a session",
    ),
    (
        path("SLIDING_TOKEN_OBTAIN_SERIALIZER"),
        "serializers.TokenObtainSlidingSerializer",
        "further claims are not written",
    ),
    (
        path("SLIDING_TOKEN_REFRESH_SERIALIZER"),
        "serializers.TokenRefreshSlidingSerializer",
        "all claims are kept",
    ),
    (path("ON_LOGIN_SUCCESS"), "serializers.default_on_login_success", "consume auth.login.succeeded"),
    (path("ON_LOGIN_FAILED"), "serializers.default_on_login_failed", "consume auth.login.failed"),
    (path("JSON_ENCODER"), "", "claims are written as JSON"),
];

const fn path(name: &'static str) -> Setting {
    Setting::optional(name, "A Python path: SimpleJWT's default alone is accepted, and does nothing.")
}

/// The names of these settings.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CLASS_PATHS.iter().map(|(setting, ..)| setting.name)
}

/// Refuses any path but SimpleJWT's default.
pub(super) fn check(reader: &mut Reader) {
    for (setting, default, instead) in CLASS_PATHS {
        let Some(given) = reader.optional(setting) else { continue };
        let default = if default.is_empty() { String::new() } else { format!("{CLASSES}.{default}") };
        if given.trim() != default {
            reader
                .problem(format!("{}: Python code can't be named here; remove it: {instead}", setting.name));
        }
    }
}
