#!/bin/sh
# Every secret that this container was given becomes the environment variable that its file is named after.
# A value is seen by this process and its children only: not in the compose file, not in `docker inspect`.
set -eu

for file in "${HEADROOM_SECRETS:-/run/secrets}"/*; do
    [ -f "$file" ] || continue
    name=${file##*/}
    case $name in
        [!A-Z_]* | *[!A-Z0-9_]*)
            echo "headroom-entrypoint: $file is not named like an environment variable; it is left alone" >&2
            continue
            ;;
    esac
    value=$(cat "$file")
    export "$name=$value"
done

exec "$@"
