"""The protocol where the aggregator is a root with shards: machine.py is a shard's, root_machine.py the root's."""
