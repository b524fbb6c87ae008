"""The Ray cluster that trials run on."""
