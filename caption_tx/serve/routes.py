"""The HTTP API: captions, explanations, bundles, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from caption_tx.config import DecodingOptions, ExplanationOptions, to_dict
from caption_tx.errors import CaptionTxError, ConfigError
from caption_tx.inference.explanation_files import arrange_words, check_selection, heatmap_style
from caption_tx.inference.explanations import LoadedImage, TargetCaption
from caption_tx.serve.answers import describe_bundle, image_document, maps_document
from caption_tx.serve.drawing import draw_card, draw_figure, draw_page
from caption_tx.serve.models import Answer, Question, ServedBundle
from caption_tx.serve.parameters import CAPTION_BODY, EXPLANATION_BODY, EXPLANATION_OPTIONS, FORMATS
from caption_tx.serve.problems import HttpError
from caption_tx.serve.service import Service, or_disconnected
from caption_tx.serve.uploads import Upload, parse_settings, read_upload

router = APIRouter()


def service_of(request: Request) -> Service:
    """The service of the app."""
    return request.app.state.service


@router.get("/healthz", tags=["server"], summary="Whether the server answers, and how many images wait")
async def healthz(request: Request) -> JSONResponse:
    """Needs no token."""
    service = service_of(request)
    document = {"status": "ok", "waiting": service.engine.waiting, "bundles": len(service.bundles)}
    if service.replicas is not None:
        document["replicas"] = service.replicas.running
    return JSONResponse(document)


@router.get("/metrics", tags=["server"], summary="Metrics in the text format of Prometheus")
async def metrics(request: Request) -> Response:
    """Requests by path and status, latencies, batch sizes, images by outcome, and how many wait."""
    return Response(service_of(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/bundles", tags=["captions"], summary="The bundles, with language, search and size")
async def bundles(request: Request) -> JSONResponse:
    """The first is the default."""
    served = service_of(request).bundles.values()
    return JSONResponse({"bundles": [describe_bundle(bundle, index == 0) for index, bundle in enumerate(served)]})


@router.post("/v1/captions", tags=["captions"], summary="Caption images", openapi_extra=CAPTION_BODY)
async def captions(request: Request) -> JSONResponse:
    """Captions with log-probabilities, best first. An image that cannot be read has an `error` instead.

    `notes` lists what is read differently from how a viewer shows it, such as the first of several pages: each has a
    `note`, one line, and a `code`.

    If none can be read, the status is 422. Options that are not given are those of the bundle.
    """
    service = service_of(request)
    upload = await read_upload(request, service.max_bytes)
    bundle = service.bundle(upload.pop("bundle", ""))
    options = bundle.check_options(bundle.captioner.search_options(**parse_settings(DecodingOptions, upload.fields)))

    def ask(image: LoadedImage) -> Question:
        return Question(image, options)

    with service.admitted(len(upload.images)):
        answers = await or_disconnected(request, service.answer(upload.images, bundle, ask))
    documents = [image_document(name, answer) for (name, _), answer in zip(upload.images, answers, strict=True)]
    return JSONResponse({"bundle": bundle.name, "search": to_dict(options), "images": documents})


@dataclass(frozen=True)
class Explanation:
    """A request for maps.

    Attributes:
        shown: which caption, layers, heads and pooling, and how they are drawn.
        options: the search; None for a typed caption.
        target: the typed caption, or None.
        format: one of `parameters.FORMATS`.
    """

    shown: ExplanationOptions
    options: DecodingOptions | None
    target: TargetCaption | None
    format: str

    @classmethod
    def from_upload(cls, upload: Upload, bundle: ServedBundle) -> Explanation:
        """The request in the fields of an upload.

        Raises:
            HttpError: there is no such format.
            ConfigError: an option is unknown or out of range, or does not apply to a given caption.
            CaptionError: the caption contains no words, or more than the model reads.
        """
        captioner = bundle.captioner
        kind = upload.pop("format", "json")
        if kind not in FORMATS:
            raise HttpError("invalid_option", f"format must be one of {', '.join(FORMATS)}, got '{kind[:40]}'.")
        if kind == "png" and len(upload.images) > 1:
            raise HttpError(
                "invalid_option", f"A picture shows one image, got {len(upload.images)}; use the format page."
            )
        own = {name: texts for name, texts in upload.fields.items() if name in EXPLANATION_OPTIONS}
        search = {name: texts for name, texts in upload.fields.items() if name not in EXPLANATION_OPTIONS}
        shown = ExplanationOptions(**parse_settings(ExplanationOptions, own))
        if shown.caption is not None:
            if search:
                raise ConfigError(f"Options of the search do not apply to a given caption; remove {', '.join(search)}.")
            target = TargetCaption.from_text(
                shown.caption, captioner.tokenizer, captioner.segmenter, captioner.max_length
            )
            return cls(shown, None, target, kind)
        given = parse_settings(DecodingOptions, search)
        options = bundle.page_options() if kind == "card" and not given else captioner.search_options(**given)
        shown = replace(shown, decoding=options)  # n_best exceeds the rank
        return cls(shown, bundle.check_options(shown.decoding or options), None, kind)

    def ask(self, image: LoadedImage) -> Question:
        """The question about one image."""
        return Question(image, self.options, self.target, True, self.shown.rank)


@router.post("/v1/explanations", tags=["captions"], summary="Explain images", openapi_extra=EXPLANATION_BODY)
async def explanations(request: Request) -> Response:
    """Where the model looked for every word of a caption, generated or typed.

    `format` is `json` (raw maps), `png` (a figure of one image), `page` (an HTML file that works offline), or `card`
    (what the web page shows).
    """
    service = service_of(request)
    upload = await read_upload(request, service.max_bytes)
    bundle = service.bundle(upload.pop("bundle", ""))
    asked = Explanation.from_upload(upload, bundle)
    check_selection(bundle.captioner, asked.shown)
    names = [name for name, _ in upload.images]
    with service.admitted(len(names)):
        work = service.answer(upload.images, bundle, asked.ask, with_photo=asked.format != "json")
        answers = await or_disconnected(request, work)
        return await _respond(service, bundle, asked, names, answers)


async def _respond(
    service: Service,
    bundle: ServedBundle,
    asked: Explanation,
    names: Sequence[str],
    answers: Sequence[Answer | CaptionTxError],
) -> Response:
    """The answers in the requested format."""
    maps = [answer.maps for answer in answers if isinstance(answer, Answer) and answer.maps is not None]
    shown, style = asked.shown, heatmap_style(asked.shown)
    if asked.format == "png":
        picture = await service.render(lambda: draw_figure(maps[0], shown, style))
        return Response(picture, media_type="image/png")
    if asked.format == "page":
        problems = [str(answer) for answer in answers if isinstance(answer, CaptionTxError)]
        page = await asyncio.to_thread(draw_page, maps, shown, style, problems, service.font)
        return HTMLResponse(page, headers={"Content-Disposition": 'attachment; filename="caption.html"'})
    documents: list[dict[str, Any]] = []
    for name, answer in zip(names, answers, strict=True):
        document = image_document(name, answer)
        if isinstance(answer, Answer) and answer.maps is not None:
            if asked.format == "card":
                document["card"] = await asyncio.to_thread(draw_card, answer.maps, shown)
            else:
                shown_maps = arrange_words(answer.maps, shown, set())
                document["maps"] = await asyncio.to_thread(maps_document, shown_maps)
        documents.append(document)
    search = None if asked.options is None else to_dict(asked.options)
    return JSONResponse({"bundle": bundle.name, "search": search, "images": documents})
