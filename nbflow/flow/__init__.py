"""The front door: Flow and Run join graph, plan, engine, results and picture."""
