"""What is measured: a folder with suite.yaml becomes a Suite."""
