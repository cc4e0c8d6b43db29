"""Commands that read several runs or train several: runs, fuse, crossval, leak."""
