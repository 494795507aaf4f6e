"""The pytest plugin. Nobody imports it: pytest finds it, and gives tests the fixture `requence_server`."""
