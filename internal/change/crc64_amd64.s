#include "textflag.h"

// Remainders of powers of x by the polynomial of CRC-64/ECMA, bits reflected: to fold over 64
// bytes x^575 and x^511, over 16 bytes x^191 and x^127. One less than the distance, because a
// product of reflected numbers stands one bit too low.
DATA fold64<>+0(SB)/8, $0x6ae3efbb9dd441f3
DATA fold64<>+8(SB)/8, $0x081f6054a7842df4
GLOBL fold64<>(SB), RODATA|NOPTR, $16
DATA fold16<>+0(SB)/8, $0xe05dd497ca393ae4
DATA fold16<>+8(SB)/8, $0xdabe95afc7875f40
GLOBL fold16<>(SB), RODATA|NOPTR, $16

// FOLD multiplies both halves of acc by the factors and adds what stands in next.
#define FOLD(factors, acc, next, t) \
	MOVO      acc, t;             \
	PCLMULQDQ $0x00, factors, acc; \
	PCLMULQDQ $0x11, factors, t;   \
	PXOR      t, acc;             \
	PXOR      next, acc

// func fold(crc uint64, p []byte) (lo, hi uint64)
TEXT ·fold(SB), NOSPLIT, $0-48
	MOVQ  crc+0(FP), X4
	MOVQ  p_base+8(FP), SI
	MOVQ  p_len+16(FP), CX
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	PXOR  X4, X0
	MOVOU fold64<>(SB), X5
	ADDQ  $64, SI
	SUBQ  $64, CX

four:
	CMPQ  CX, $64
	JB    join
	MOVOU (SI), X8
	MOVOU 16(SI), X9
	MOVOU 32(SI), X10
	MOVOU 48(SI), X11
	FOLD(X5, X0, X8, X6)
	FOLD(X5, X1, X9, X7)
	FOLD(X5, X2, X10, X12)
	FOLD(X5, X3, X11, X13)
	ADDQ  $64, SI
	SUBQ  $64, CX
	JMP   four

join:
	MOVOU fold16<>(SB), X5
	FOLD(X5, X0, X1, X6)
	FOLD(X5, X0, X2, X6)
	FOLD(X5, X0, X3, X6)

one:
	CMPQ  CX, $16
	JB    done
	MOVOU (SI), X8
	FOLD(X5, X0, X8, X6)
	ADDQ  $16, SI
	SUBQ  $16, CX
	JMP   one

done:
	MOVQ  X0, lo+32(FP)
	PSRLO $8, X0
	MOVQ  X0, hi+40(FP)
	RET
