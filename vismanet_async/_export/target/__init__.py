"""Where exports are published: a local directory or a folder in an object store, by one run at a time.

`publishing` plans the steps without IO; `local` and `remote` carry them out; `lock` and `lease` keep other runs out.
"""
