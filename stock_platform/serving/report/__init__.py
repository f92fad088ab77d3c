"""The weekly report: build, render, deliver."""
