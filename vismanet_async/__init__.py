"""Asyncio SDK for the Visma Net ERP API."""
