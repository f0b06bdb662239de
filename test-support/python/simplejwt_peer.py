"""A Django project with SimpleJWT's own views in one file: what our tests hold Warren's answers against.

It speaks JSON, one document a line. The first line on standard input holds `SIMPLE_JWT` (lifetimes in seconds, keys as
PEM text, classes by dotted path); each later line is a command, `{"do": "mint", ...}`, and is answered by one line on
standard output. A command that fails is answered `{"failed": "<traceback>"}`. Everything it knows is in memory.

Requests go through Django's WSGI handler, as from a server: no test client that would mend headers or bodies.

SimpleJWT 5.5.1 takes EdDSA and PS256 as `ALGORITHM`: `ALLOWED_ALGORITHMS` (backends.py, lines 25 to 35) is a list of its
own names, which lacks both, in union with PyJWT's `requires_cryptography`, which has both. No check is lifted here.
"""

import base64
import io
import json
import os
import sys
import traceback
from datetime import timedelta

HASHERS = {
    "md5": "django.contrib.auth.hashers.MD5PasswordHasher",
    "pbkdf2_sha256": "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "pbkdf2_sha1": "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "argon2": "django.contrib.auth.hashers.Argon2PasswordHasher",
    "bcrypt_sha256": "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "bcrypt": "django.contrib.auth.hashers.BCryptPasswordHasher",
    "scrypt": "django.contrib.auth.hashers.ScryptPasswordHasher",
}


def configure(simple_jwt):
    """Sets Django up. Both libraries read their settings while they are imported: one process, one set of settings."""
    from django.conf import settings

    apps = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework_simplejwt",
        "rest_framework_simplejwt.token_blacklist",
    ]
    settings.configure(
        SECRET_KEY="Django's own key, which signs nothing here that a test looks at",
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=apps,
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        # Tables straight from the models: the apps' histories take seconds.
        MIGRATION_MODULES={name.rsplit(".", 1)[-1]: None for name in apps},
        USE_TZ=True,
        # The first is the one for new passwords; here speed is all that matters. The rest can be asked for.
        PASSWORD_HASHERS=list(HASHERS.values()),
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
            # Without the browsable pages, as an API in production: they would answer text/html.
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
        SIMPLE_JWT={
            name: timedelta(seconds=value) if name.endswith("_LIFETIME") else value
            for name, value in simple_jwt.items()
        },
        LOGGING={
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"stderr": {"class": "logging.StreamHandler"}},
            "root": {"handlers": ["stderr"], "level": "ERROR"},
        },
    )

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0, interactive=False)


def make_urls():
    """The six views at their documented places, and a protected one."""
    from django.urls import path
    from rest_framework import permissions, response, views
    from rest_framework_simplejwt import views as tokens

    class Tasks(views.APIView):
        """Answers a list without tasks to whoever is signed in."""

        permission_classes = [permissions.IsAuthenticated]

        def get(self, request):
            return response.Response([])

        def post(self, request):
            # Reading the body is what makes DRF refuse it; nothing is kept.
            return response.Response(request.data, status=201)

    return [
        path("api/token/", tokens.TokenObtainPairView.as_view()),
        path("api/token/refresh/", tokens.TokenRefreshView.as_view()),
        path("api/token/verify/", tokens.TokenVerifyView.as_view()),
        path("api/token/blacklist/", tokens.TokenBlacklistView.as_view()),
        path("api/token/sliding/", tokens.TokenObtainSlidingView.as_view()),
        path("api/token/sliding/refresh/", tokens.TokenRefreshSlidingView.as_view()),
        path("api/tasks/", Tasks.as_view()),
    ]


class Peer:
    """The commands, a method each. Arguments are the members of the command."""

    def __init__(self):
        from django.core.handlers.wsgi import WSGIHandler

        self.application = WSGIHandler()

    def user(self, action, id=None, username=None, **columns):
        """Creates, updates or deletes a user. `password` is plain, `password_hash` is stored as it stands."""
        from django.contrib.auth import get_user_model

        User = get_user_model()
        if action == "create":
            user = User(id=id, username=username)
        else:
            user = User.objects.get(**({"id": id} if id is not None else {"username": username}))
        if action == "delete":
            user.delete()
            return {}
        if "password" in columns:
            user.set_password(columns.pop("password"))
        if "password_hash" in columns:
            user.password = columns.pop("password_hash")
        for column, value in columns.items():
            setattr(user, column, value)
        user.save()
        return {"id": user.pk, "password_hash": user.password, "last_login": str(user.last_login or "")}

    def mint(self, user_id=None, username=None, sliding=False, claims=None):
        """Tokens as SimpleJWT's manual creates them: `RefreshToken.for_user`."""
        from django.contrib.auth import get_user_model
        from rest_framework_simplejwt import tokens

        user = get_user_model().objects.get(**({"id": user_id} if user_id is not None else {"username": username}))
        token = (tokens.SlidingToken if sliding else tokens.RefreshToken).for_user(user)
        for name, value in (claims or {}).items():
            token[name] = value
        if sliding:
            return {"token": str(token)}
        return {"refresh": str(token), "access": str(token.access_token)}

    def verify(self, token, **kind):
        """What the token classes say: `{"ok": true, "claims": ...}` or `{"ok": false, "error": ...}`."""
        from rest_framework_simplejwt import exceptions, tokens

        classes = {
            "access": tokens.AccessToken,
            "refresh": tokens.RefreshToken,
            "sliding": tokens.SlidingToken,
            "untyped": tokens.UntypedToken,
        }
        try:
            return {"ok": True, "claims": classes[kind["class"]](token).payload}
        except exceptions.TokenError as error:
            return {"ok": False, "error": str(error)}

    def request(self, method, path, headers, body="", body_base64=None):
        """One HTTP request. `headers` is a list of pairs; values, like the bytes of a header, are Latin-1."""
        content = body.encode() if body_base64 is None else base64.b64decode(body_base64)
        environ = wsgi_environ(method, path, headers, content)
        answer = {}

        def start_response(status, headers, exc_info=None):
            answer["status"] = int(status.split(" ", 1)[0])
            answer["headers"] = headers

        parts = self.application(environ, start_response)
        try:
            answer["body"] = b"".join(parts).decode("utf-8", "backslashreplace")
        finally:
            parts.close()
        if method == "HEAD":
            # A server sends none, whatever the application says.
            answer["body"] = ""
        return answer

    def hash(self, password, algorithm="pbkdf2_sha256"):
        """A password hash as Django stores it."""
        from django.contrib.auth.hashers import get_hasher, make_password

        return {"hash": make_password(password, hasher=get_hasher(algorithm))}

    def keypair(self, algorithm):
        """New keys for an algorithm, as PEM."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

        if algorithm[:2] in ("RS", "PS"):
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif algorithm[:2] == "ES":
            private = ec.generate_private_key(ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1())
        else:
            private = ed25519.Ed25519PrivateKey.generate()
        plain = serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        return {"private": private.private_bytes(pem, pkcs8, plain).decode(), "public": public.decode()}

    def rows(self):
        """The blacklist app's tables: each outstanding jti, and whether it is blacklisted."""
        from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

        rows = OutstandingToken.objects.order_by("id").values_list("jti", "user_id", "blacklistedtoken__id")
        return {"rows": [{"jti": jti, "user_id": user, "blacklisted": bool(black)} for jti, user, black in rows]}

    def versions(self):
        """What is compared with what."""
        from importlib.metadata import version

        names = ["Django", "djangorestframework", "djangorestframework-simplejwt", "PyJWT"]
        return {name: version(name) for name in names}


def wsgi_environ(method, path, headers, content):
    """What a server makes of a request: several headers of a name become one, joined by commas."""
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "HTTP_HOST": "127.0.0.1",
    }
    for name, value in headers:
        name = name.upper().replace("-", "_")
        name = name if name == "CONTENT_TYPE" else f"HTTP_{name}"
        value = value.strip(" \t")
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    return environ


def converse(commands, answers):
    """Answers command by command until there are no more."""

    def answer(document):
        answers.write(json.dumps(document) + "\n")
        answers.flush()

    configure(json.loads(commands.readline()))
    globals()["urlpatterns"] = make_urls()
    peer = Peer()
    answer(peer.versions())
    for line in commands:
        command = json.loads(line)
        try:
            answer(getattr(peer, command.pop("do"))(**command))
        except Exception:
            answer({"failed": traceback.format_exc()})


if __name__ == "__main__":
    # Whatever a library prints must not come between the answers.
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    converse(sys.stdin, own)
