// Number of ones in a word.
`default_nettype none
module bnn_popcount #(
    parameter N_BITS = 8,  // bits of the word
    parameter COUNT_W = 4  // bits of the count, enough for N_BITS
) (
    input wire [N_BITS-1:0] bits,
    output reg [COUNT_W-1:0] count
);
  integer i;
  always @* begin
    count = 0;
    for (i = 0; i < N_BITS; i = i + 1) count = count + {{COUNT_W - 1{1'b0}}, bits[i]};
  end
endmodule
`default_nettype wire
