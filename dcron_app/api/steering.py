"""Variables that steer: by them a program that the job's own text does not name is loaded or run.

That is the question for each name below, and what is no answer to it may be set by everybody: TZ,
LANG, TMPDIR, http_proxy, credentials. The list stands behind the rights and not in their place:
who may set a job's environment may write its command as well. It keeps a job's text true, so that
who reads `backup.sh` knows what runs. It cannot be complete, as sudo's own cannot.

Many families are a program's prefix, since nobody can list what its next release reads. Some names
under such a prefix are let through all the same. Credentials, known by how they end: a program
shows a TOKEN, PASSWORD or KEY to whom it speaks with and loads nothing by it, and who may not write
`MAVEN_PASSWORD` writes the password into the command. And, one by one, what many jobs set and what
only says how the named program works, as `PYTHONUNBUFFERED` and `NODE_ENV`. `JAVA_HOME` and
`PYTHONPATH` say which program or module is run and stay in the list, as does `PYTHONWARNINGS`,
which imports what it names. The loader's own prefixes have no credentials and are kept whole.

Sources: ld.so(8); glibc's unsecvars.h, which is what set-user-ID programs never see; `env_delete`
of sudoers(5), the field's model; then the manuals of the programs themselves.
"""

from __future__ import annotations

import re


def _any_of(*families: str) -> re.Pattern[str]:
    return re.compile("|".join(" ".join(families).split()))


# The loader, the C library, terminals and Kerberos: glibc and sudo, as they stand.
_LOADER = _any_of(
    "LD_.* _RLD.* DYLD_.* GLIBC_TUNABLES MALLOC_.* GCONV_PATH GETCONF_DIR LOCPATH PATH_LOCALE "
    "NLSPATH TZDIR HOSTALIASES LOCALDOMAIN NIS_PATH RES_OPTIONS RESOLV_.* TERMINFO(_DIRS)? TERMCAP "
    "TERMPATH KRB5_CONFIG.* KRB5_KTNAME",
)
_FAMILIES = _any_of(
    # Shells: sudo, bash(1), zshparam(1). Whose the process is: sudo sets these itself.
    "PATH SHELL IFS ENV CDPATH FPATH ZDOTDIR (READ)?NULLCMD TMPPREFIX PS4 PROMPT_COMMAND BASH_.* "
    "BASHOPTS SHELLOPTS GLOBIGNORE EXECIGNORE HOME LOGNAME USER",
    # Where programs look for their configuration, which may name others (aliases, hooks, plug-ins).
    "XDG_.*_(HOME|DIRS) CURL_HOME WGETRC SYSTEM_WGETRC PSQLRC MYSQL_HOME LIBMYSQL_.* "
    "OPENSSL_(CONF.*|ENGINES|MODULES) MAGICK_.*_PATH GIO_(EXTRA_MODULES|MODULE_DIR) HGRCPATH",
    # Programs that others start: environ(7), less(1), man(1), ssh(1), rsync(1), svn, tar.
    "EDITOR VISUAL PAGER BROWSER MANPAGER MANROFFOPT LESS.* .*_(ASKPASS|EDITOR|PAGER|RSH) SVN_SSH "
    "HGEDITOR HGMERGE RSYNC_CONNECT_PROG TAR_OPTIONS",
    # git(1): its programs, its configuration, and the transports that may run some.
    "GIT_(EXEC_PATH|SSH.*|CONFIG.*|DIR|COMMON_DIR|TEMPLATE_DIR|EXTERNAL_DIFF|PROXY_COMMAND) "
    "GIT_(ALLOW_PROTOCOL|PROTOCOL_FROM_USER)",
    # Interpreters and runtimes: their manuals, where modules and options come from.
    "PYTHON.* PERL.* RUBY.* NODE_.* LUA_.* PHPRC PHP_INI_SCAN_DIR R_HOME GUILE_.* JULIA_.* ERL_.* "
    "R_(PROFILE|ENVIRON|LIBS).* TCLLIBPATH TCL_LIBRARY AWK(LIB)?PATH CAML_LD_LIBRARY_PATH "
    "_?JAVA_.* JDK_JAVA_OPTIONS JRE_HOME DOTNET_.* CORECLR_.* COMPlus_.* MONO_.* "
    "CLASSPATH",
    # Builders, and what fetches the code that is built.
    "MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEFILES CC CXX GCC_EXEC_PREFIX COMPILER_PATH PIP_.* UV_.* "
    "(npm|NPM)_(config|CONFIG)_.* GEM_.* BUNDLE_.* RUSTC.* RUSTDOC.* RUSTFLAGS RUSTUP_.* "
    "CARGO_.* GO(ROOT|PATH|FLAGS|ENV|TOOLCHAIN|PROXY) M2_HOME MAVEN_.* "
    "GRADLE_.* ANT_(OPTS|ARGS|HOME)",
)
# Of those families, what a program is merely told.
_TOLD = _any_of(
    ".*_(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|KEY)",
    "NODE_ENV DOTNET_ENVIRONMENT",  # a word that the program's own text gives its meaning
    "PYTHON(UNBUFFERED|DONTWRITEBYTECODE|IOENCODING|UTF8|HASHSEED|FAULTHANDLER)",
)


def steers(variable_name: str) -> bool:
    """Whether this variable changes which programs are loaded or run, or how shells read."""
    if _LOADER.fullmatch(variable_name):
        return True
    return bool(_FAMILIES.fullmatch(variable_name)) and not _TOLD.fullmatch(variable_name)
