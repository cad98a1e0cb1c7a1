// The sum over the PARTS threads that share an entry, in each of them: where subgroups can't be relied on.
fn over_parts(thread: u32, own: vec4f) -> vec4f {
    workgroupBarrier();
    staged[thread] = own;
    workgroupBarrier();
    let first = thread / PARTS * PARTS;
    // in the order of the other way, so that both give the same bits
    return ((staged[first] + staged[first + 1u]) + (staged[first + 2u] + staged[first + 3u])) +
        ((staged[first + 4u] + staged[first + 5u]) + (staged[first + 6u] + staged[first + 7u]));
}
