"""The one list of settings: names, types, bounds, defaults and what each is for."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hub.core.settings.addresses import Secret
from hub.core.settings.fields import Field, fields_of, is_a


class Settings(Struct, frozen=True, kw_only=True):
    """Everything an operator can choose. The constructor wraps secrets so that no repr shows them."""

    env: Annotated[
        Literal["development", "production"],
        Meta(description="development fills in what is missing; production refuses weak settings."),
    ] = "development"
    host: Annotated[
        str, Meta(description="The address that the web server listens on.", extra=is_a("host"))
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65_535, description="The TCP port of the web server; 0 takes any free one.")
    ] = 8000
    data_dir: Annotated[
        Path,
        Meta(
            description="The folder for pictures, the embedded database and generated secrets.",
            extra=is_a("folder"),
        ),
    ] = Path("data")
    secret_key: Annotated[
        str | None,
        Meta(
            description="Signs links and cookies: 32 random characters or more. "
            "Absent: made once in the data folder (development only).",
            extra=is_a("secret"),
        ),
    ] = None
    database_url: Annotated[
        str | None,
        Meta(description="The PostgreSQL server. Absent: the embedded one.", extra=is_a("database")),
    ] = None
    database_pool_size: Annotated[
        int, Meta(ge=1, le=1000, description="Most database connections that a process opens.")
    ] = 20
    broker_url: Annotated[
        str | None,
        Meta(description="The RabbitMQ server. Absent: the in-process broker.", extra=is_a("broker")),
    ] = None
    broker_queue_type: Annotated[
        Literal["classic", "quorum"],
        Meta(description="The type of RabbitMQ's queues. quorum: kept on several nodes of a cluster."),
    ] = "classic"
    llm_url: Annotated[
        str | None,
        Meta(
            description="An OpenAI-compatible server, ending in /v1. Absent: the embedded model.",
            extra=is_a("http"),
        ),
    ] = None
    llm_key: Annotated[
        str | None, Meta(description="The key for that server, if it wants one.", extra=is_a("key"))
    ] = None
    llm_model: Annotated[
        str | None, Meta(description="The model to ask for, as that server names it.", extra=is_a("text"))
    ] = None
    llm_timeout: Annotated[
        float, Meta(gt=0, le=86_400, description="Seconds of silence after which an attempt is given up.")
    ] = 60.0
    llm_temperature: Annotated[
        float, Meta(ge=0, le=2, description="How freely the model chooses its words: 0 is strict.")
    ] = 0.9
    llm_top_p: Annotated[
        float, Meta(gt=0, le=1, description="The share of likely words that the model chooses from.")
    ] = 0.9
    llm_max_tokens: Annotated[int, Meta(ge=1, le=100_000, description="The longest reply, in tokens.")] = 300
    llm_context_tokens: Annotated[
        int,
        Meta(
            ge=256,
            le=10_000_000,
            description="The context window of an outside model, in tokens: prompt and reply together.",
        ),
    ] = 8192
    sd_url: Annotated[
        str | None,
        Meta(
            description="A Stable Diffusion server for pictures. Absent: the built-in painter.",
            extra=is_a("http"),
        ),
    ] = None
    sd_kind: Annotated[
        Literal["auto", "a1111", "comfyui", "openai"],
        Meta(description="What answers there: auto finds out. a1111 is Forge too."),
    ] = "auto"
    sd_key: Annotated[
        str | None,
        Meta(description="The key for that server, or user:password, if it wants one.", extra=is_a("key")),
    ] = None
    sd_model: Annotated[
        str | None,
        Meta(description="The model or checkpoint to paint with. Absent: its own.", extra=is_a("text")),
    ] = None
    sd_sampler: Annotated[
        str, Meta(description="The sampler, as AUTOMATIC1111 names it.", extra=is_a("text"))
    ] = "DPM++ 2M Karras"
    sd_steps: Annotated[int, Meta(ge=1, le=150, description="Steps that the sampler takes.")] = 28
    sd_cfg_scale: Annotated[
        float, Meta(ge=1, le=30, description="How closely a picture follows its prompt.")
    ] = 6.0
    sd_timeout: Annotated[float, Meta(gt=0, le=86_400, description="Seconds that one picture may take.")] = (
        300.0
    )
    sd_workflow: Annotated[
        Path | None,
        Meta(description="ComfyUI: a workflow of your own, saved in API format.", extra=is_a("file")),
    ] = None
    image_width: Annotated[
        int, Meta(ge=64, le=2048, multiple_of=8, description="The width of a painted picture, in pixels.")
    ] = 832
    image_height: Annotated[
        int, Meta(ge=64, le=2048, multiple_of=8, description="The height of a painted picture, in pixels.")
    ] = 1216
    images_per_hour: Annotated[
        int, Meta(ge=0, le=100_000, description="How many pictures one user may ask for in an hour.")
    ] = 10
    scene_analysis: Annotated[
        Literal["auto", "both", "after", "off"],
        Meta(
            description="When the model is asked for the scene: before and after a reply, after it, never. "
            "auto: what suits the model."
        ),
    ] = "auto"
    scene_timeout: Annotated[
        float, Meta(gt=0, le=600, description="Seconds that reading the scene may take.")
    ] = 10.0
    content_policy: Annotated[
        str,
        Meta(description="What everything said and painted has to be, in a few words.", extra=is_a("text")),
    ] = "suitable for everyone"
    prompts_dir: Annotated[
        Path | None,
        Meta(description="A folder whose templates replace the hub's own.", extra=is_a("folder")),
    ] = None
    image_format: Annotated[
        Literal["avif", "webp", "jpeg"], Meta(description="How pictures are stored. avif is the smallest.")
    ] = "avif"
    image_quality: Annotated[
        int,
        Meta(ge=0, le=100, description="The quality of stored pictures. 0: avif 70, webp 80, jpeg 85."),
    ] = 0
    image_effort: Annotated[
        int, Meta(ge=0, le=6, description="Work spent on smaller pictures: 0 is fast, 6 is slow.")
    ] = 0
    image_processes: Annotated[
        int, Meta(ge=1, le=64, description="How many pictures a process of the hub reads at the same time.")
    ] = 2
    image_quota_mb: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Megabytes of pictures that one user may have.")
    ] = 1024
    image_grace: Annotated[
        int,
        Meta(
            ge=0,
            le=31_536_000,
            description="Seconds for which the files of a removed picture are kept; hub backup needs none.",
        ),
    ] = 3600
    free_space_floor_mb: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Megabytes of the disk that no picture may take.")
    ] = 512
    backup_dir: Annotated[
        Path | None,
        Meta(
            description='The folder for backups. Absent: "backups" beside the data folder.',
            extra=is_a("folder"),
        ),
    ] = None
    backup_keep_daily: Annotated[
        int, Meta(ge=0, le=10_000, description="How many days keep their last backup.")
    ] = 7
    backup_keep_weekly: Annotated[
        int, Meta(ge=0, le=10_000, description="How many weeks keep their last backup.")
    ] = 4
    backup_keep_monthly: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="How many months keep their last backup. All three 0: nothing is removed.",
        ),
    ] = 12
    limits: Annotated[
        bool,
        Meta(
            description="Rate limits, caps on sockets and turns, login delay: on or off. "
            "Off is for development and load tests."
        ),
    ] = True
    logins_per_15_minutes: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Failures to sign in as one user from one address in 15 minutes.",
        ),
    ] = 5
    registrations_per_day: Annotated[
        int, Meta(ge=0, le=100_000, description="How many accounts one address may create in a day.")
    ] = 3
    messages_per_minute: Annotated[
        int, Meta(ge=0, le=100_000, description="How many replies one user may ask for in a minute.")
    ] = 30
    companions_per_hour: Annotated[
        int, Meta(ge=0, le=100_000, description="How many companions one user may create in an hour.")
    ] = 10
    edits_per_hour: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="How often a user may edit, delete and wipe companions in an hour, each.",
        ),
    ] = 20
    frames_per_minute: Annotated[
        int,
        Meta(ge=0, le=100_000, description="How many frames a user's WebSockets may send in a minute."),
    ] = 100
    sockets_per_user: Annotated[
        int, Meta(ge=0, le=100_000, description="How many WebSockets one user may have open.")
    ] = 10
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Reverse proxies whose X-Forwarded-For is believed, by address or network.",
            extra=is_a("networks"),
        ),
    ] = ()
    worker_threads: Annotated[
        int, Meta(ge=1, le=1024, description="How many turns a worker runs at the same time.")
    ] = 128
    turns_per_user: Annotated[
        int, Meta(ge=1, le=1024, description="How many replies one user may have written at the same time.")
    ] = 8
    job_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days for which it is remembered how a job ended.")
    ] = 7
    message_max_length: Annotated[
        int, Meta(ge=1, le=100_000, description="The longest message of a user, in characters.")
    ] = 4000
    registration: Annotated[
        Literal["open", "invite", "closed"],
        Meta(description="Who may make an account: everybody, whoever has an invite, nobody."),
    ] = "open"
    import_limit_mb: Annotated[
        int, Meta(ge=1, le=1000, description="Megabytes that a conversation may have that is brought along.")
    ] = 20
    token_days: Annotated[
        int, Meta(ge=1, le=3650, description="Days after which a sign-in has to be renewed.")
    ] = 30
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least important line to log.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "pretty", "json"],
        Meta(description="How lines look. auto: json in production, else pretty (coloured on a terminal)."),
    ] = "auto"
    allowed_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Other web origins whose pages may call the API and use a visitor's cookie, like"
            " https://chat.example.",
            extra=is_a("origins"),
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Names that this server goes by, like chat.example or *.example.org. "
            "Addresses, localhost, HUB_HOST, this machine's name and HUB_ALLOWED_ORIGINS need no mention.",
            extra=is_a("hosts"),
        ),
    ] = ()
    webhook_private_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Hosts of your own network that webhooks may be sent to, by http too.",
            extra=is_a("receivers"),
        ),
    ] = ()
    metrics_token: Annotated[
        str | None,
        Meta(
            description="Lets Prometheus ask /metrics from other machines: 32 random characters or more. "
            "Absent: only this machine may.",
            extra=is_a("secret"),
        ),
    ] = None
    metrics_host: Annotated[
        str, Meta(description="The address on which a worker tells its numbers.", extra=is_a("host"))
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65_535,
            description="The TCP port on which a worker alone tells its numbers. 0: none, a web tells them.",
        ),
    ] = 0
    otel_endpoint: Annotated[
        str | None,
        Meta(
            description="The OpenTelemetry collector that traces are sent to, by OTLP over HTTP. "
            "Absent: nothing is traced. Needs the extra 'otel'.",
            extra=is_a("collector"),
        ),
    ] = None
    otel_service_name: Annotated[
        str, Meta(description="What traces call this service.", extra=is_a("text"))
    ] = "companion-hub"
    otel_sample_rate: Annotated[
        float, Meta(ge=0, le=1, description="The share of requests that is traced.")
    ] = 1.0
    otel_propagate: Annotated[
        Literal["local", "all", "off"],
        Meta(
            description="Which model and image servers are told of a trace: local ones, of your own network."
        ),
    ] = "local"
    sentry_dsn: Annotated[
        str | None,
        Meta(
            description="The Sentry project that unexpected errors are reported to. "
            "Absent: none. Needs the extra 'sentry'.",
            extra=is_a("dsn"),
        ),
    ] = None
    embedded_llm_threads: Annotated[
        int, Meta(ge=1, le=256, description="CPU threads that the embedded model uses.")
    ] = 2

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            value = getattr(self, name)
            if field.wrapper is not None and type(value) is str:
                msgspec.structs.force_setattr(self, name, field.wrapper(value))

    @property
    def turn_cap(self) -> int | None:
        """How many replies one user may have written at the same time; None for any number."""
        return self.turns_per_user if self.limits else None

    @property
    def backup_folder(self) -> Path:
        """Where backups lie."""
        return self.backup_dir or self.data_dir.absolute().parent / "backups"

    @property
    def image_quota(self) -> int:
        """Bytes of pictures that one user may have."""
        return self.image_quota_mb * 1_000_000

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # Pretty printers cut long strings before they ask for a repr, which would lose the mask.
        values = [(name, getattr(self, name)) for name in FIELDS]
        return [(name, value.masked() if isinstance(value, Secret) else value) for name, value in values]


_ALIASES = {
    "database_url": ("DATABASE_URL",),
    "llm_key": ("NOVITA_KEY",),
    "otel_endpoint": ("OTEL_EXPORTER_OTLP_ENDPOINT",),
    "otel_service_name": ("OTEL_SERVICE_NAME",),
    "sd_url": ("SD_API_URL",),
    "sentry_dsn": ("SENTRY_DSN",),
}

FIELDS: dict[str, Field] = fields_of(Settings, _ALIASES)
