"""The MCP server of a sandbox."""
