"""Tests that need no cluster; the folders mirror the packages."""
