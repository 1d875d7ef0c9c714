"""Which variables steer: by hand, against the patterns of dcron_app/api/steering.py."""

from __future__ import annotations

import pytest

from dcron_app.api.steering import steers

STEERING = [
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "_RLD_LIST", "GCONV_PATH", "GLIBC_TUNABLES"),
    *("LOCPATH", "NLSPATH", "HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "TZDIR", "MALLOC_TRACE"),
    *("TERMINFO", "TERMINFO_DIRS", "TERMCAP", "KRB5_CONFIG", "NIS_PATH", "PATH_LOCALE"),
    *("PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "PS4", "PROMPT_COMMAND", "ZDOTDIR", "FPATH"),
    *("NULLCMD", "READNULLCMD", "SHELL", "HOME", "LOGNAME", "USER", "XDG_CONFIG_HOME"),
    *("XDG_DATA_DIRS", "CURL_HOME", "WGETRC", "PSQLRC", "MYSQL_HOME", "OPENSSL_CONF"),
    *("OPENSSL_CONF_INCLUDE", "OPENSSL_MODULES", "MAGICK_CONFIGURE_PATH", "HGRCPATH"),
    *("EDITOR", "VISUAL", "PAGER", "BROWSER", "MANPAGER", "LESSOPEN", "LESSCLOSE", "SSH_ASKPASS"),
    *("SUDO_ASKPASS", "SUDO_EDITOR", "SYSTEMD_PAGER", "RSYNC_RSH", "CVS_RSH", "SVN_SSH"),
    *("RSYNC_CONNECT_PROG", "TAR_OPTIONS", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "GIT_DIR"),
    *("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_TEMPLATE_DIR", "GIT_ALLOW_PROTOCOL", "GIT_ASKPASS"),
    *("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PERL5LIB", "PERL5OPT", "RUBYOPT", "RUBYLIB"),
    *("NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JAVA_HOME", "CLASSPATH"),
    *("LUA_INIT", "PHPRC", "R_LIBS_USER", "AWKPATH", "DOTNET_STARTUP_HOOKS", "CORECLR_PROFILER"),
    *("MAKEFLAGS", "MFLAGS", "GNUMAKEFLAGS", "CC", "PIP_INDEX_URL", "npm_config_script_shell"),
    *("NPM_CONFIG_REGISTRY", "GEM_HOME", "BUNDLE_GEMFILE", "RUSTC_WRAPPER", "RUSTFLAGS"),
    *("CARGO_HOME", "CARGO_BUILD_RUSTC", "GOFLAGS", "GOTOOLCHAIN", "MAVEN_OPTS", "GRADLE_OPTS"),
]
# What people set, and what only looks like one of those.
PLAIN = [
    *("TZ", "LANG", "LC_ALL", "TERM", "TMPDIR", "MAIL", "http_proxy", "HTTPS_PROXY", "no_proxy"),
    *("SSL_CERT_FILE", "PGPASSWORD", "RSYNC_PASSWORD", "AWS_PROFILE", "GIT_AUTHOR_NAME"),
    *("GIT_TERMINAL_PROMPT", "CARGO_REGISTRY_TOKEN", "DOTNET_ENVIRONMENT", "XDG_RUNTIME_DIR"),
    *("RES", "PAGER_DUTY_KEY", "PATHS", "MY_PATH", "HOMEPAGE", "CCC", "GOOGLE_CLOUD_PROJECT"),
]


@pytest.mark.parametrize("name", STEERING)
def test_what_has_other_programs_loaded_or_run_steers(name: str) -> None:
    assert steers(name)


@pytest.mark.parametrize("name", PLAIN)
def test_what_a_job_is_merely_told_does_not_steer(name: str) -> None:
    assert not steers(name)
