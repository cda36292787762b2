#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ten charge points from nothing to proven units, on virtual boards.
#
#   set_up_fleet.sh FOLDER [MANIFEST]
#
# FOLDER is made, and a project laid out in it. Without MANIFEST (a build's manifest.json) the
# firmware is built first, which takes a C++ compiler and a minute. With real boards the only
# difference is the ports: --match '/dev/ttyUSB*' in place of --match 'board[0-9]'.
set -euo pipefail

folder=$1
manifest=${2:-}
count=10

# 1. A project, the key that seals its secrets, and the units: what all of them have in common
#    stands in fleet.toml, what each has of its own in units.csv. No secret is in either.
evtool init "$folder" --environment host
cd "$folder"
mkdir -m 700 keys
evtool provision secrets new-key file:keys/sealing
sed -i 's|^# sealing_key = .*|sealing_key = { file = "keys/sealing" }|' evtool.toml
cat > fleet.toml <<'END'
units = "units.csv"
shared = ["wifi_passphrase"]      # one network for all of them, by intention

[template]
identity = "CP-{serial_number}"
wifi_ssid = "{site}"
wifi_passphrase = { env = "DEPOT_PASSPHRASE" }
csms_url = "ws://csms.example/ocpp"
authorization_key = { generate = true }

[variables]
site = "depot-north"
END
{
  echo serial_number
  for number in $(seq 1 $count); do printf 'A%04d\n' "$number"; done
} > units.csv
export DEPOT_PASSPHRASE=${DEPOT_PASSPHRASE:-correct-horse-battery}

# 2. Everything is checked before anything is written: all bad rows in one run.
evtool provision fleet check fleet.toml

# 3. The firmware.
if [ -z "$manifest" ]; then
  export EVTOOL_WIFI_PASSPHRASE=$DEPOT_PASSPHRASE
  evtool codegen
  evtool build
  manifest=build/host/manifest.json
fi

# 4. The boards: ten links named board0 to board9 in the folder, until the script ends.
evtool sim board --count $count --link board --state-dir virtual < /dev/null > boards.log 2>&1 &
boards=$!
trap 'kill $boards 2>/dev/null; wait $boards 2>/dev/null || true' EXIT
until [ -e board$((count - 1)) ]; do sleep 0.2; done

# 5. The run: every board at once. What it would do, then that it does it.
run=(evtool provision fleet run fleet.toml --match 'board[0-9]' --manifest "$manifest")
"${run[@]}" --dry-run
"${run[@]}" --report first.json --junit first.xml --log-dir logs

# 6. A second run finds all as it should be, and writes nothing. So does one that follows a run
#    that was killed: it continues.
"${run[@]}" --report second.json

# 7. How the fleet stands, for people, for programs and for the file.
evtool provision fleet status fleet.toml
evtool provision fleet export fleet.toml --out units-done.csv
evtool provision fleet report fleet.toml --out fleet-report.html --title "Depot north"
evtool provision labels fleet.toml --out labels.pdf

# 8. The AuthorizationKeys for the CSMS's operator: asked for by name, and recorded.
evtool provision secrets export --form plain --to keys/for-the-csms.csv

# 9. One unit gets a new key, takes the old one back, and leaves the fleet.
evtool provision fleet rotate fleet.toml --serial-port board0 --campaign first
unit=$(python3 -c 'import json; print(next(b["unit"] for b in json.load(open("second.json"))["boards"]
                                       if b["serial_port"] == "board0"))')
evtool provision fleet rollback "$unit" --serial-port board0
evtool provision fleet decommission "$unit" --serial-port board0 --reason "end of the example"
evtool provision fleet status fleet.toml
