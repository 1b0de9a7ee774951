#!/bin/sh
# Runs once, when PostgreSQL's volume is empty: one database and one owner for Airflow, MLflow and Headroom each.
set -eu

for name in airflow mlflow headroom; do
    upper=$(echo "$name" | tr '[:lower:]' '[:upper:]')
    password=$(cat "/run/secrets/${upper}_DB_PASSWORD")
    psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
        --set name="$name" --set password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
