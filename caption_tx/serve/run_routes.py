"""The pages and the API of a training run."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from caption_tx.config import ExplanationOptions
from caption_tx.errors import CaptionTxError
from caption_tx.inference.explanations import LoadedImage, TargetCaption
from caption_tx.serve.answers import image_document
from caption_tx.serve.drawing import draw_card
from caption_tx.serve.models import Answer, Question
from caption_tx.serve.pages import page_values, render
from caption_tx.serve.problems import HttpError
from caption_tx.serve.runs import TrainingRun
from caption_tx.serve.service import Service, or_disconnected

router = APIRouter()


def _run_of(request: Request) -> TrainingRun:
    run = request.app.state.service.run
    if run is None:
        raise HttpError("no_run", "This server shows no training run; start it with the workdir of one.")
    return run


@router.get("/run", include_in_schema=False)
def page(request: Request) -> HTMLResponse:
    """The page of the run, which follows it."""
    values = page_values(request) | {"font": f"run.css?{_run_of(request).font().version}"}
    return HTMLResponse(render("run.html.j2", **values), headers={"Vary": "Accept-Language"})


@router.get("/v1/run", tags=["runs"], summary="The training run that the server shows")
def run_state(request: Request) -> JSONResponse:
    """Its epochs with losses and scores, and the sample captions after each of them, as its files are now."""
    return JSONResponse(_run_of(request).document())


@router.get("/v1/run/maps", tags=["runs"], summary="Where the best bundle so far looks in a sample image")
async def run_maps(request: Request, image: str, page_language: str | None = None) -> JSONResponse:
    """The card of the web page for the last caption at the lowest temperature of a sample image."""
    run, service = _run_of(request), request.app.state.service
    shown = ExplanationOptions(page_language=page_language)
    with service.admitted(1):
        answer = await or_disconnected(request, _explain(service, run, image))
    document = image_document(image, answer)
    document["card"] = await asyncio.to_thread(draw_card, answer.maps, shown)
    return JSONResponse(document)


async def _explain(service: Service, run: TrainingRun, name: str) -> Answer:
    data, caption = await asyncio.to_thread(run.sample, name)
    bundle = await asyncio.to_thread(run.bundle)
    captioner = bundle.captioner
    target = TargetCaption.from_text(caption, captioner.tokenizer, captioner.segmenter, captioner.max_length)

    def ask(image: LoadedImage) -> Question:
        return Question(image, None, target, explain=True)

    [answer] = await service.answer([(name, data)], bundle, ask, with_photo=True)
    if isinstance(answer, CaptionTxError):
        raise answer
    return answer
