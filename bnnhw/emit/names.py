"""One function from any names to identifiers that Verilog, C++ and every file system accept."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_LENGTH = 40
RESERVED = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and asm assert assign assume auto automatic before begin bind bins
    binsof bit bool break buf bufif0 bufif1 byte case casex casez catch cell chandle char checker class clocking cmos concept config
    const consteval constexpr constinit constraint context continue cover covergroup coverpoint cross deassign decltype default
    defparam delete design disable dist do double edge else end endcase endchecker endclass endclocking endconfig endfunction
    endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable
    endtask enum event eventually expect explicit export extends extern false final first_match float for force foreach forever fork
    forkjoin friend function generate genvar global goto highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies
    import incdir include initial inline inout input inside instance int integer interconnect interface intersect join join_any
    join_none large let liblist library local localparam logic long longint macromodule main matches medium modport module mutable
    namespace nand negedge nettype new nexttime nmos noexcept nor noshowcancelled not notif0 notif1 nullptr operator or output package
    packed parameter pmos posedge primitive priority private program property protected public pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg register reinterpret_cast
    reject_on release repeat requires restrict return rnmos rpmos rst rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until
    s_until_with scalared sequence shared short shortint shortreal showcancelled signed sizeof small soft solve specify specparam static
    static_assert static_cast strong strong0 strong1 struct super supply0 supply1 switch sync_accept_on sync_reject_on table tagged task
    template this thread_local throughout throw time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg true
    try type typedef typeid typename u_reset union unique unique0 unsigned until until_with untyped use using uwire var vectored virtual
    void volatile wait wait_order wand wchar_t weak weak0 weak1 while wildcard wire with within wor xnor xor aclk aresetn err_frame
    con prn aux nul input_frame output_last
    """.split()
)


def identifiers(names: Iterable[str], reserved: Iterable[str] = ()) -> dict[str, str]:
    """Each name's identifier: lower-case letters, digits and single underscores, a letter first, at most 40 long.

    Distinct names get distinct identifiers that are no keyword and stay distinct where case is ignored.
    """
    found: dict[str, str] = {}
    used = set(RESERVED) | set(reserved)
    for name in names:
        if name in found:
            continue
        base = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:MAX_LENGTH].strip("_") or "x"
        if not base[0].isalpha():
            base = f"x{base}"[:MAX_LENGTH]
        candidate, n = base, 2
        while candidate in used:
            suffix = f"_{n}"
            candidate, n = base[: MAX_LENGTH - len(suffix)].rstrip("_") + suffix, n + 1
        used.add(candidate)
        found[name] = candidate
    return found
