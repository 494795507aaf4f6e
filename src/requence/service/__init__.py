"""Implementing services is the job of another package; importing this one says so."""

raise ImportError(
    "requence.service is not part of this package: it starts and follows tasks (requence.task). "
    "Services are written with Requence's service SDK, published as `requence` up to version 0.8; "
    "keep it in an environment of its own, since both use the package name `requence`."
)
