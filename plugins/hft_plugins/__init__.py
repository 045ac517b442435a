"""The plugins that come with hft, registered through the same entry points as anyone's."""
