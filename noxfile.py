"""The tests on every Python that is found: `make test-all`."""

import nox

nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Runs the tests; arguments after `--` go to pytest."""
    session.install("--upgrade", "pip>=25.1")
    session.install("--editable", ".[all]", silent=True)
    session.run_install("python", "-m", "pip", "install", "--quiet", "--group", "dev")
    session.run("python", "-m", "pytest", *session.posargs)
