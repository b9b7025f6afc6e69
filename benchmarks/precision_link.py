"""What the HVAE's precision gains or loses by softplus, as the encoder has it, on the real sounds of `benchmarks.real`.

`python -m benchmarks.precision_link` prints AUC and pAUC of HVAEs with a doubled output, three seeds of 8 epochs each:
a comparison, not results. It takes some minutes on one core, and exits with 2 where the sounds are missing.
"""

import argparse
import sys

from benchmarks.real import SEEDS, SOUNDS, Member, run_member, summary

TRAINING = {"epochs": 8, "decay": 0.7, "decay_every": 1}


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if not SOUNDS.is_file():
        print(f"the real sounds are not there: {SOUNDS}; put the file there and run again", file=sys.stderr)
        return 2
    for link in ("exp", "softplus"):
        member = Member("hvae", {link: "wmse"}, TRAINING, {"precision_link": link})
        found = summary([run_member(member, seed, "fp32")[0][link][0] for seed in SEEDS])
        shown = (f"{name} {100 * found[name]:.1f} +- {100 * found[f'{name}_sd']:.1f}" for name in ("auc", "pauc"))
        print(f"{link}: {', '.join(shown)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
