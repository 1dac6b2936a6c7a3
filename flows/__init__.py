"""Rounds under Prefect: flows, their artifacts, and one command that brings everything up."""
