import fuzz_nodes
import hosts


@hosts.newest_only
def test_random_inputs_of_every_node_end_as_results_or_sentences(host):
    count = len(host.hello["nodes"])
    found = fuzz_nodes.run(range(count), lambda: host, seed=1)
    assert found["faults"] == []
    tried = {node for node, _ in found["ends"]}
    assert tried == set(host.hello["nodes"])
    assert any(end == "a result" for _, end in found["ends"])
