#!/bin/sh
# Makes docker/secrets/: one file per secret, random, named after the environment variable or password that it is.
# What exists is kept, so it is safe to repeat. The folder is closed to other users of the host (mode 0700); the files
# in it are readable, because a container reads its own through a bind mount as another user.
set -eu

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 0700 "$folder"

word() {
    python3 -c 'import secrets; print(secrets.token_hex(24), end="")'
}

keep() {
    [ -s "$folder/$1" ] || printf '%s' "$2" >"$folder/$1"
    chmod 0444 "$folder/$1"
}

for name in POSTGRES_PASSWORD AIRFLOW_DB_PASSWORD MLFLOW_DB_PASSWORD HEADROOM_DB_PASSWORD REDIS_PASSWORD \
    AIRFLOW__API__SECRET_KEY AIRFLOW__API_AUTH__JWT_SECRET; do
    keep "$name" "$(word)"
done
keep AIRFLOW__CORE__FERNET_KEY "$(python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode(), end="")')"

airflow="airflow:$(cat "$folder/AIRFLOW_DB_PASSWORD")@postgres:5432/airflow"
keep AIRFLOW__DATABASE__SQL_ALCHEMY_CONN "postgresql+psycopg2://$airflow"
keep AIRFLOW__CELERY__RESULT_BACKEND "db+postgresql://$airflow"
keep AIRFLOW__CELERY__BROKER_URL "redis://:$(cat "$folder/REDIS_PASSWORD")@redis:6379/0"
keep MLFLOW_BACKEND_STORE_URI "postgresql+psycopg://mlflow:$(cat "$folder/MLFLOW_DB_PASSWORD")@postgres:5432/mlflow"
keep HEADROOM_DATABASE_URL "postgresql+psycopg://headroom:$(cat "$folder/HEADROOM_DB_PASSWORD")@postgres:5432/headroom"
echo "secrets are in $folder"
